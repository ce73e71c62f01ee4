/** Everything is killed in the middle of a burst, the service, its embedded Postgres and Redis: nothing accepted is lost, nothing is done twice. */

import { cleaningUp } from "../support/clean-up.ts";
import { query } from "../support/postgres.ts";
import { descendants, isAlive } from "../support/process.ts";
import { redisService, startRedis } from "../support/redis.ts";
import { type Service, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(180_000);

const alerts = 500;
const inOne = 10;

interface Notification {
  readonly alerts: readonly object[];
  taken: boolean;
}

redisService.describe("a kill -9 of everything", () => {
  const afterwards = cleaningUp();

  test("during a burst of 500 alerts: after the restart 500 episodes and 500 runs, and each effect once", async () => {
    const redis = await startRedis();
    afterwards(() => redis.stop());
    const ward = await createWard();
    const targets = ward.targets(alerts);
    const service = await startService({
      program: "counting",
      redisUrl: redis.url,
      targets,
      playbooks: [wardPlaybook("sick", { heal: "ward.heal-once" })],
      worker: { lease: "5s", concurrency: 20, reconcileEvery: "1s" },
    });
    await service.ready();

    const startsAt = new Date().toISOString();
    const names = Object.keys(targets);
    const notifications: Notification[] = [];
    for (let from = 0; from < alerts; from += inOne) {
      const group = names.slice(from, from + inOne).map((name, index) => ({
        labels: { alertname: "sick", service: name },
        fingerprint: (from + index + 1).toString(16).padStart(16, "0"),
        startsAt,
      }));
      notifications.push({ alerts: group, taken: false });
    }
    const burst = deliver(service, notifications);
    await until(async () => (await ward.effects()).length > 40, { what: "some runs to have taken effect", everyMs: 5 });
    const database = descendants(service.child.pid);
    await Promise.all([service.kill(), redis.kill()]);
    await burst;
    const takenBefore = notifications.filter(({ taken }) => taken).length;
    const effectsBefore = (await ward.effects()).length;
    expect(effectsBefore).toBeLessThan(alerts);
    // The server and its backends are gone, too: this is no orderly restart.
    expect(database.length).toBeGreaterThan(3);
    await until(() => !database.some(isAlive), { what: "the embedded Postgres to be dead" });

    await redis.start();
    await service.start();
    // Alertmanager repeats what was not answered with 200, and now and then what was.
    for (const [index, notification] of notifications.entries()) if (index % 5 === 0) notification.taken = false;
    await until(
      async () => {
        await deliver(service, notifications);
        return notifications.every(({ taken }) => taken);
      },
      { timeoutMs: 60_000, what: "all notifications to be taken" },
    );
    const count = async (query: string) => await countAll(service, query);
    await until(async () => (await count("state=ended")) === alerts, {
      timeoutMs: 90_000,
      everyMs: 500,
      what: () => `all runs to end (${takenBefore} notifications and ${effectsBefore} effects were before the kill)`,
    });
    expect(await count("")).toBe(alerts);
    expect(await countEpisodes(service)).toBe(alerts);
    expect(await count("outcome=fixed")).toBe(alerts);
    // An apply that was killed before its effect is probed and tried again: what counts is the effect.
    expect(await ward.effects()).toHaveLength(alerts);
    const [row] = await query(ward.url, "SELECT count(DISTINCT target)::int AS targets FROM effects");
    expect(row).toEqual({ targets: alerts });
    await service.stop();
  });

  /** Posts what is not taken yet, four at a time; what is refused or breaks off stays. */
  async function deliver(service: Service, notifications: readonly Notification[]): Promise<void> {
    const left = notifications.filter(({ taken }) => !taken);
    const lane = async () => {
      for (let next = left.shift(); next; next = left.shift()) {
        const answer = await service.notify(next.alerts as never).catch(() => null);
        next.taken = answer?.status === 200;
      }
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
  }

  async function countAll(service: Service, filter: string): Promise<number> {
    return await countPages(service, `/api/v1/runs?limit=100&${filter}`, "runs");
  }

  async function countEpisodes(service: Service): Promise<number> {
    return await countPages(service, "/api/v1/episodes?limit=100", "episodes");
  }

  async function countPages(service: Service, path: string, list: string): Promise<number> {
    let found = 0;
    for (let cursor: string | null = ""; cursor !== null; ) {
      const { body } = await service.api("GET", cursor === "" ? path : `${path}&cursor=${cursor}`);
      found += body[list].length;
      cursor = body.next;
    }
    return found;
  }
});
