/**
 * Row 12 with every change that ships, on real systems: a worker is killed between intent and effect, or between effect
 * and record. No effect happens twice that may not, and the run says what is so.
 */

import { stringify } from "yaml";
import type { RunView } from "../../src/api/run-view.ts";
import type { ChangeAction } from "../../src/domain/action.ts";
import { djangoOperations } from "../actions/operations/of-django.ts";
import { hostOperations } from "../actions/operations/of-host.ts";
import { otherOperations } from "../actions/operations/of-others.ts";
import { postgresOperations } from "../actions/operations/of-postgres.ts";
import { changes, type Make, type Operation } from "../actions/operations/operation.ts";
import { debianPostgres, startDebianPostgres } from "../actions/postgres/debian-postgres.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis, type TestRedis } from "../support/redis.ts";
import { temporaryFolder } from "../support/run-folder.ts";
import { killServices, type Service, type ServiceOptions, startService } from "../support/service.ts";
import { startSlackDouble } from "../support/slack-double.ts";
import { systemdService } from "../support/systemd.ts";
import { sleep, until } from "../support/until.ts";
import { djangoService } from "../support/youtility3.ts";

jest.setTimeout(120_000);

const points = ["before", "after"] as const;
type Point = (typeof points)[number];

interface Case {
  readonly action: string;
  readonly point: Point;
  readonly name: string;
}

const cases = points.flatMap((point) =>
  changes.map(({ name: action }): Case => ({ action, point, name: `${action.replace(/\W/g, "_")}_${point}` })),
);
const changeOf = (action: string) => changes.find(({ name }) => name === action);
const mitigations = cases.filter(({ action }) => changeOf(action)?.revert);
const inDoubt: readonly Case[] = [
  { action: "postgres.terminate-sessions", point: "before", name: "sessions_in_doubt" },
  { action: "http.post", point: "after", name: "post_in_doubt" },
];
const all = [...cases, ...inDoubt];

const services = [systemdService, redisService, debianPostgres, djangoService];

(services.find(({ available }) => !available) ?? systemdService).describe("a worker that is killed at a change", () => {
  let ward: UnitWard;
  let redis: TestRedis;
  let queue: TestRedis;
  let databaseUrl: string;
  let survivor: Service;
  let options: ServiceOptions;
  let makes: Readonly<Record<string, Make>> = {};
  let victims = 0;
  const operations = new Map<string, Operation>();
  const runs = new Map<string, string>();
  const died = new Map<string, { readonly signal: string | null; readonly effects: number }>();
  const closing: (() => unknown)[] = [];

  beforeAll(async () => {
    const [debian, slack] = [await startDebianPostgres(), await startSlackDouble()];
    ward = await createUnitWard();
    [redis, queue] = [await startRedis({ args: ["--databases", "200"] }), await startRedis()];
    closing.push(
      () => debian.stop(),
      () => slack.stop(),
      () => ward.systemd.down(),
    );
    closing.push(
      () => redis.stop(),
      () => queue.stop(),
    );
    databaseUrl = (await sharedPostgres()).url;
    const ofPostgres = await postgresOperations(debian);
    const ofDjango = await djangoOperations(debian, redis, 1);
    const ofOthers = await otherOperations(redis, slack, databaseUrl);
    closing.unshift(ofPostgres.close, ofDjango.close, ofOthers.close);
    makes = { ...ofPostgres.made, ...ofDjango.made, ...ofOthers.made, ...hostOperations(ward) };
    for (const { action, name } of cases) {
      const operation = await makes[action]?.(name);
      if (operation) operations.set(name, operation);
    }
    operations.set("sessions_in_doubt", await ofPostgres.inDoubt("sessions_in_doubt"));
    operations.set("post_in_doubt", await ofOthers.untold("post_in_doubt"));
    options = await optionsFor(slack.apiUrl, slack.botToken, slack.signingSecret);
    for (const point of points) await killAt(point);
    await endLeases();
    for (const { meanwhile } of operations.values()) await meanwhile?.();
    survivor = await startService({ ...options, redisUrl: queue.url });
  }, 240_000);

  afterAll(async () => {
    await killServices();
    for (const close of closing) await close();
  });

  async function optionsFor(apiUrl: string, botToken: string, signingSecret: string): Promise<ServiceOptions> {
    const folder = await temporaryFolder("disk");
    const made = all.flatMap((one) => {
      const operation = operations.get(one.name);
      return operation ? [{ ...one, operation }] : [];
    });
    const playbooks = made.map(({ action, name, operation }) => {
      const { risk, revert } = changeOf(action) as ChangeAction;
      return stringify({
        name: name.replaceAll("_", "-"),
        summary: "Change one thing.",
        on: { alerts: [`alertname="${name}"`] },
        target: { name },
        escalate: "database",
        steps: [
          {
            id: "change",
            do: action,
            with: operation.with,
            ...(risk !== "irreversible" && { approval: "never" }),
            ...(revert && { revert_after: "12h" }),
          },
        ],
        verify: [{ do: "files.disk-usage", expect: "output.leastFreePercent >= 0", within: "20s", every: "1s" }],
      });
    });
    const targets = made.map(({ name, operation }) => [name, { files: { folders: [folder] }, ...operation.target }]);
    return {
      program: "counting",
      databaseUrl,
      targets: {},
      playbooks,
      worker: { lease: "30s", reconcileEvery: "1s", concurrency: all.length },
      sections: {
        targets: Object.fromEntries(targets),
        slack: {
          botToken: { env: "SLACK_BOT_TOKEN" },
          signingSecret: { env: "SLACK_SIGNING_SECRET" },
          apiUrl,
          channel: "#ops",
        },
        contacts: { readers: { slack: "#ops" } },
      },
      env: {
        ACTIONS: "shipped",
        UNITS: ward.systemd.units,
        RUN_UNITS: ward.systemd.runUnits,
        DBUS_SYSTEM_BUS_ADDRESS: ward.systemd.busAddress,
        SLACK_BOT_TOKEN: botToken,
        SLACK_SIGNING_SECRET: signingSecret,
        ...Object.assign({}, ...made.map(({ operation }) => operation.env)),
      },
    };
  }

  /**
   * A worker that dies as soon as so many changes wait to begin, or have ended and wait to be recorded. Its leases do not
   * run out however busy the machine is, and so the next one works on its own runs and no others.
   */
  async function startVictim(point: Point, count: number): Promise<Service> {
    const { env, worker, ...rest } = options;
    victims += 1;
    return startService({
      ...rest,
      redisUrl: `${queue.url}/${victims}`,
      worker: { ...worker, lease: "10m" },
      env: { ...env, HOLD: `${point}:${count}` },
    });
  }

  async function killAt(point: Point): Promise<void> {
    const here = all.filter((one) => one.point === point && operations.has(one.name));
    const victim = await startVictim(point, here.length);
    await victim.ready();
    for (const { name } of here) runs.set(name, await victim.fire({ alertname: name }));
    const { signal } = await approvingUntil(victim, victim.died(90_000));
    for (const { name } of here) died.set(name, { signal, effects: await operationOf(name).effects() });
  }

  /** Instead of waiting for what row 14 and others show. */
  async function endLeases(): Promise<void> {
    await query(databaseUrl, "UPDATE paramedic.runs SET lease_until = now(), due_at = now() WHERE lease_until > now()");
  }

  /** Approves whatever is asked, until then. */
  async function approvingUntil<T>(service: Service, then: Promise<T>): Promise<T> {
    let over = false;
    const ended = then.finally(() => {
      over = true;
    });
    while (!over) {
      const { body } = await service.api("GET", "/api/v1/approvals?state=pending").catch(() => ({ body: null }));
      for (const { id, digest } of body?.approvals ?? []) {
        await service.api("POST", `/api/v1/approvals/${id}`, { decision: "approve", digest }).catch(() => undefined);
      }
      await Promise.race([ended.catch(() => undefined), sleep(300)]);
    }
    return ended;
  }

  function operationOf(name: string): Operation {
    const found = operations.get(name);
    if (!found) throw new Error(`there is no operation ${name}`);
    return found;
  }

  /** The run as another worker ended it. */
  async function ended(name: string): Promise<RunView> {
    const run = await approvingUntil(survivor, survivor.ended(runs.get(name) as string, 90_000));
    expect(run.events.filter(({ type }) => type === "taken-over")).toHaveLength(1);
    return run;
  }

  test("every change that ships is among them", () => {
    expect(Object.keys(makes).sort()).toEqual(changes.map(({ name }) => name));
  });

  test.each(cases)("$action, killed $point its effect: done, and the run says so", async ({ action, name, point }) => {
    const { whole, twice = whole, effects, byRecord = false } = operationOf(name);
    expect(died.get(name)).toEqual({ signal: "SIGKILL", effects: point === "after" && !byRecord ? whole : 0 });
    const run = await ended(name);
    // Who was only told something has not been healed by that.
    const outcome = changeOf(action)?.tells ? "nothing-to-do" : "fixed";
    expect(run).toMatchObject({ outcome, steps: [{ id: "change" }] });
    const isRepeated = run.events.filter(({ type }) => type === "step-started").length > 1;
    const isSafe = changeOf(action)?.repeat === "safe";
    // What may be done only once is looked for; what has been done is then not begun again.
    expect(isRepeated && point === "after" && !isSafe).toBe(false);
    expect(run.steps[0]?.state).toBe(isSafe && !isRepeated ? "nothing-to-do" : "done");
    expect(await effects()).toBe(point === "after" && isRepeated ? twice : whole);
  });

  test.each(inDoubt)(
    "where it cannot be told whether $action was done, the run ends unknown, does nothing more and tells people",
    async ({ name, point }) => {
      const { effects, whole } = operationOf(name);
      expect(died.get(name)).toEqual({ signal: "SIGKILL", effects: point === "after" ? whole : 0 });
      const run = await ended(name);
      expect(run.outcome).toBe("unknown");
      expect(run.events.map(({ type }) => type)).toContain("escalated");
      expect(await effects()).toBe(1);
    },
  );

  describe("and another one at putting back what was changed for a time", () => {
    const mitigationOf = async (name: string) => {
      const text = "SELECT state, revert_run FROM paramedic.mitigations WHERE run_id = $1";
      return query(databaseUrl, text, [runs.get(name)]);
    };

    beforeAll(async () => {
      for (const { name } of mitigations) {
        await ended(name);
        expect(await mitigationOf(name)).toMatchObject([{ state: "in-force" }]);
      }
      await survivor.stop();
      for (const point of points) {
        const here = mitigations.filter((one) => one.point === point);
        const due = here.map(({ name }) => runs.get(name));
        await query(databaseUrl, "UPDATE paramedic.mitigations SET revert_at = now() WHERE run_id = ANY ($1)", [due]);
        const victim = await startVictim(point, here.length);
        const { signal } = await victim.died(60_000);
        for (const { name } of here) died.set(name, { signal, effects: await operationOf(name).effects() });
      }
      await endLeases();
      survivor = await startService({ ...options, redisUrl: queue.url });
    }, 180_000);

    test.each(mitigations)("$action, killed $point that: it is put back, once, and said", async ({ name, point }) => {
      const { effects, whole } = operationOf(name);
      expect(died.get(name)).toEqual({ signal: "SIGKILL", effects: point === "after" ? 0 : whole });
      const reverted = await until(async () => (await mitigationOf(name)).find(({ state }) => state === "reverted"), {
        timeoutMs: 60_000,
        what: () => `it to be put back: ${survivor.child.output().slice(-3_000)}`,
      });
      expect(await survivor.ended(reverted["revert_run"] as string)).toMatchObject({ outcome: "fixed" });
      expect(await effects()).toBe(0);
    });
  });
});
