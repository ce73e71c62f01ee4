/** What Paramedic makes of a real Alertmanager, on both backends of the queue: one run for each episode, whatever is repeated, doubled or late. */

import { alertmanagerService, type PostedAlert, startAlertmanager } from "../support/alertmanager.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { redisService, startRedis } from "../support/redis.ts";
import { killServices, type Service, startService, tokens } from "../support/service.ts";
import { createSickDatabase, impatientOverloadPlaybook, type SickDatabase } from "../support/sick-database.ts";
import { until } from "../support/until.ts";

jest.setTimeout(90_000);

/** Looks and changes nothing: these tests are about which runs there are. */
const look = [
  "name: look",
  "summary: Look at the database.",
  `on: { alerts: ['alertname=~"Repeated|Doubled|Stale|Retried"'] }`,
  "target: { label: service }",
  "steps:",
  "  - { id: activity, do: postgres.activity }",
].join("\n");

const backends = redisService.available ? (["redis", "postgres"] as const) : (["postgres"] as const);

alertmanagerService.describe("from a real Alertmanager to a run", () => {
  describe.each(backends)("with the queue on %s", (backend) => {
    let server: TestPostgres;
    let patient: SickDatabase;
    let service: Service;
    const ending: (() => Promise<unknown>)[] = [];

    beforeAll(async () => {
      server = await startPostgres();
      ending.push(() => server.stop());
      patient = await createSickDatabase("shop");
      ending.push(() => patient.closeSessions());
      const redis = backend === "redis" ? await startRedis() : null;
      if (redis) ending.push(() => redis.stop());
      service = await startService({
        databaseUrl: server.url,
        ...(redis && { redisUrl: redis.url }),
        targets: { shop: patient.asTarget },
        playbooks: [look, await impatientOverloadPlaybook()],
      });
      await service.ready();
    });

    afterAll(async () => {
      await killServices();
      for (const end of ending.splice(0).reverse()) await end();
    });

    const afterwards: (() => Promise<unknown>)[] = [];
    afterEach(async () => {
      for (const end of afterwards.splice(0)) await end();
    });

    async function alertmanager(over: Partial<Parameters<typeof startAlertmanager>[0]> = {}) {
      const started = await startAlertmanager({ webhookUrl: service.webhookUrl, token: tokens.alertmanager, ...over });
      afterwards.push(() => started.stop());
      return started;
    }

    const alertOf = (alertname: string, over: Partial<PostedAlert> = {}): PostedAlert => ({
      labels: { alertname, service: "shop", severity: "critical" },
      startsAt: new Date().toISOString(),
      ...over,
    });

    // biome-ignore lint/suspicious/noExplicitAny: bodies of the API
    async function list(kind: "runs" | "episodes", alertname: string): Promise<any[]> {
      const { body } = await service.api("GET", `/api/v1/${kind}?limit=100`);
      if (kind === "episodes") return body.episodes.filter((one: SeenEpisode) => one.labels.alertname === alertname);
      const of = await list("episodes", alertname);
      return body.runs.filter((run: { episodeId: string }) => of.some(({ id }) => id === run.episodeId));
    }

    test("an alert that is repeated has one run, and its episode is seen again each time", async () => {
      const sender = await alertmanager({ repeatInterval: "5s", groupInterval: "1s" });
      await sender.post([alertOf("Repeated")]);
      const episode = await until(
        async () => {
          const [one] = await list("episodes", "Repeated");
          return one && Date.parse(one.lastSeen) - Date.parse(one.firstSeen) >= 60_000 && one;
        },
        { timeoutMs: 100_000, everyMs: 500, what: "a minute of repeats" },
      );
      expect(episode.notifications).toBeGreaterThanOrEqual(9);
      const runs = await list("runs", "Repeated");
      expect(runs).toHaveLength(1);
      expect((await service.ended(runs[0].id)).outcome).toBe("nothing-to-do");
    }, 120_000);

    test("two Alertmanagers that do not know each other tell the same: one run", async () => {
      const senders = [await alertmanager(), await alertmanager()];
      const alert = alertOf("Doubled");
      await Promise.all(senders.map((sender) => sender.post([alert])));
      await until(async () => (await list("episodes", "Doubled"))[0]?.notifications === 2, { what: "both to tell" });
      expect(await list("episodes", "Doubled")).toHaveLength(1);
      expect(await list("runs", "Doubled")).toHaveLength(1);
    });

    test("a firing that arrives after its own resolve starts no new run", async () => {
      const sender = await alertmanager();
      const alert = alertOf("Stale");
      await sender.post([alert]);
      await until(async () => (await list("runs", "Stale")).length === 1);
      await sender.post([{ ...alert, endsAt: new Date().toISOString() }]);
      const episode = await until(async () => {
        const [one] = await list("episodes", "Stale");
        return one?.status === "resolved" && one;
      });
      // Another member of a cluster that has not heard of the resolve, as in Alertmanager's issue 2447.
      const late = await alertmanager();
      await late.post([alert]);
      const ignored = 'paramedic_alerts_ignored_total{reason="late-duplicate"} 1';
      await until(async () => (await service.api("GET", "/metrics")).body.includes(ignored), {
        what: "the late firing to be ignored",
      });
      expect(await list("episodes", "Stale")).toEqual([episode]);
      expect(await list("runs", "Stale")).toHaveLength(1);
    });

    test("while the store is down Alertmanager tries again; there is one run in the end", async () => {
      const sender = await alertmanager();
      await server.stop();
      await sender.post([alertOf("Retried")]);
      const failures = async () => {
        const metrics = await (await fetch(`${sender.url}/metrics`)).text();
        const found = /alertmanager_notification_requests_failed_total\{integration="webhook"\} (\d+)/.exec(metrics);
        return Number(found?.[1]);
      };
      await until(async () => (await failures()) >= 2, { timeoutMs: 30_000, what: "Alertmanager to be refused twice" });
      await server.start();
      const [run] = await until(
        async () => {
          const runs = await list("runs", "Retried");
          return runs.length > 0 && runs;
        },
        { timeoutMs: 30_000, what: "the run" },
      );
      expect((await service.ended(run.id)).outcome).toBe("nothing-to-do");
      expect(await list("runs", "Retried")).toHaveLength(1);
    });

    test("the shipped playbook heals a real overload, and the whole story can be read", async () => {
      const old = [await patient.session(), await patient.session(), await patient.session()];
      const long = old.map((session) => session.start("SELECT pg_sleep(600)"));
      const idle = await patient.session();
      const superuser = await patient.session({ connectionString: patient.urlOf("postgres") });
      const left = superuser.start("SELECT pg_sleep(600)");
      await until(async () => {
        const [row] = await patient.admin(
          `SELECT count(*)::int AS old FROM pg_stat_activity
           WHERE pid = ANY($1) AND state = 'active' AND clock_timestamp() - query_start > interval '1.1 s'`,
          [old.map(({ pid }) => pid)],
        );
        return row?.["old"] === 3;
      });
      const sender = await alertmanager();
      await sender.post([alertOf("DatabaseOverload")]);
      const [line] = await until(async () => {
        const runs = await list("runs", "DatabaseOverload");
        return runs.length > 0 && runs;
      });
      const run = await service.ended(line.id, 40_000);
      expect(run).toMatchObject({
        playbook: "database-overload",
        target: "shop",
        state: "ended",
        outcome: "fixed",
        trigger: { kind: "alert", labels: { alertname: "DatabaseOverload" } },
      });
      expect(run.steps.map(({ id, state }) => [id, state])).toEqual([
        ["activity", "observed"],
        ["cancel", "done"],
        ["left", "observed"],
        ["reads", "skipped"],
        ["readOnly", "skipped"],
      ]);
      const cancelled = run.steps[1] as { effects: readonly string[]; result: unknown };
      expect(cancelled.effects).toHaveLength(3);
      expect(cancelled.result).toMatchObject({ cancelled: expect.arrayContaining(old.map(({ pid }) => pid)) });
      const people = new Set(["notifying", "told", "not-told"]);
      expect(run.events.map(({ type }) => type).filter((type) => !people.has(type))).toEqual([
        "created",
        "step-observed",
        "step-planned",
        "rails-checked",
        "step-started",
        "step-finished",
        "step-observed",
        "step-skipped",
        "step-skipped",
        "verification-checked",
        "ended",
      ]);
      expect(run.events.map(({ seq }) => seq)).toEqual(run.events.map((_, index) => index + 1));
      // Cancelled, each by its own query, and the sessions live on.
      expect(long.map(({ state }) => state)).toEqual(["57014", "57014", "57014"]);
      expect(left.state).toBe("running");
      expect((await idle.client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    });
  });
});

interface SeenEpisode {
  readonly labels: Readonly<Record<string, string>>;
}
