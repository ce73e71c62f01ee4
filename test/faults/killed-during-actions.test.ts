/** Row 12 with actions that ship, on real systems: a worker is killed between intent and effect, or between effect and record. No effect happens twice, and the run says what is so. */

import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { stringify } from "yaml";
import type { RunView } from "../../src/api/run-view.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis, type TestRedis } from "../support/redis.ts";
import { temporaryFolder } from "../support/run-folder.ts";
import { killServices, type Service, type ServiceOptions, startService } from "../support/service.ts";
import { createSickDatabase, type SickDatabase } from "../support/sick-database.ts";
import { systemdService } from "../support/systemd.ts";
import { serviceUnit } from "../support/systemd-units.ts";
import { until } from "../support/until.ts";

jest.setTimeout(120_000);

const actions = [
  "systemd.restart",
  "systemd.set-environment",
  "postgres.terminate-sessions",
  "redis.delete-keys",
  "files.delete-old",
] as const;
/** Those of them that a worker repeats where it cannot know how far another one came. */
const repeatable: readonly string[] = ["systemd.set-environment", "redis.delete-keys", "files.delete-old"];
const points = ["after-intent", "after-effect"] as const;
type Point = (typeof points)[number];

/** A change of a system that nothing else changes, and how much of it has happened. */
interface Operation {
  /** The target's parts, as the configuration has them. */
  readonly target: object;
  readonly step: object;
  readonly verify: object;
  /** How many effects there are when it is done. */
  readonly whole: number;
  readonly effects: () => Promise<number>;
  /** What happens in the world while no worker is there. */
  readonly meanwhile?: () => Promise<void>;
}

const cases = actions.flatMap((action) => points.map((point) => ({ action, point, name: `${action} ${point}` })));
const inDoubt = "postgres.terminate-sessions in doubt";

const sleeper = (lines: readonly string[] = []) => serviceUnit("/bin/sleep infinity", lines);

systemdService.describe("a worker that is killed at a change of a real system", () => {
  redisService.describe("of systemd, Postgres, Redis or files", () => {
    let ward: UnitWard;
    let patient: SickDatabase;
    let redis: TestRedis;
    let keys: Redis;
    let queue: TestRedis;
    let databaseUrl: string;
    let survivor: Service;
    const operations = new Map<string, Operation>();
    const runs = new Map<string, string>();
    const died = new Map<string, { readonly signal: string | null; readonly effects: number }>();

    const make: Readonly<Record<(typeof actions)[number], (point: Point) => Promise<Operation>>> = {
      "systemd.restart": restart,
      "systemd.set-environment": setEnvironment,
      "postgres.terminate-sessions": (point) => terminate(point.replace("-", "_")),
      "redis.delete-keys": deleteKeys,
      "files.delete-old": deleteOld,
    };

    beforeAll(async () => {
      ward = await createUnitWard();
      patient = await createSickDatabase("shop");
      [redis, queue] = [await startRedis(), await startRedis({ args: ["--databases", "100"] })];
      keys = new Redis(redis.url);
      databaseUrl = (await sharedPostgres()).url;
      for (const { action, point, name } of cases) operations.set(name, await make[action](point));
      operations.set(inDoubt, await terminate("in_doubt", { oneLeaves: true }));
      const all = [...operations.keys()];
      for (let next = 0; next < all.length; next += 3) await Promise.all(all.slice(next, next + 3).map(killOne));
      for (const { meanwhile } of operations.values()) await meanwhile?.();
      survivor = await startService({ ...options(databaseUrl), redisUrl: queue.url });
    }, 180_000);

    afterAll(async () => {
      await killServices();
      await patient?.closeSessions();
      keys?.disconnect();
      await Promise.all([redis?.stop(), queue?.stop()]);
      await ward?.systemd.down();
    });

    function options(url: string): ServiceOptions {
      const of = [...operations];
      const playbooks = of.map(([name, { step, verify }], number) =>
        stringify({
          name: `change-${number}`,
          summary: "Change one thing.",
          on: { alerts: [`alertname="${name}"`] },
          target: { name: `target-${number}` },
          escalate: "database",
          steps: [{ id: "change", approval: "never", ...step }],
          verify: [{ within: "10s", every: "1s", ...verify }],
        }),
      );
      return {
        program: "counting",
        databaseUrl: url,
        targets: {},
        playbooks,
        worker: { lease: "2s", reconcileEvery: "1s" },
        sections: { targets: Object.fromEntries(of.map(([, { target }], number) => [`target-${number}`, target])) },
        env: {
          ACTIONS: "shipped",
          UNITS: ward.systemd.units,
          RUN_UNITS: ward.systemd.runUnits,
          DBUS_SYSTEM_BUS_ADDRESS: ward.systemd.busAddress,
          PATIENT_URL: patient.asTarget.postgres.url,
          PATIENT_REDIS_URL: redis.url,
        },
      };
    }

    /** Each victim has a queue of its own and does not look for lost runs: it works on its own run and no other. */
    async function killOne(name: string): Promise<void> {
      const { env, ...rest } = options(databaseUrl);
      const victim = await startService({
        ...rest,
        redisUrl: `${queue.url}/${[...operations.keys()].indexOf(name) + 1}`,
        worker: { lease: "2s", reconcileEvery: "1h" },
        env: { ...env, STOP_AT: points.find((point) => name.endsWith(point)) ?? "after-intent" },
      });
      await victim.ready();
      runs.set(name, await victim.fire({ alertname: name }));
      const { signal } = await victim.died();
      died.set(name, { signal, effects: await operationOf(name).effects() });
    }

    function operationOf(name: string): Operation {
      const found = operations.get(name);
      if (!found) throw new Error(`there is no operation ${name}`);
      return found;
    }

    /** The run as another worker ended it. */
    async function ended(name: string): Promise<RunView> {
      const run = await survivor.ended(runs.get(name) as string, 40_000);
      expect(run.events.filter(({ type }) => type === "taken-over")).toHaveLength(1);
      return run;
    }

    async function restart(point: Point): Promise<Operation> {
      const unit = `restarted-${point}.service`;
      await ward.systemd.install({ [unit]: sleeper() });
      await ward.systemd.systemctl("start", unit);
      return {
        target: { systemd: { units: [unit], settle: "1s", journal: ward.systemd.journal } },
        step: { do: "systemd.restart", with: { unit } },
        verify: { do: "systemd.status", with: { unit }, expect: "output.active" },
        whole: 1,
        effects: async () => (await ward.starts(unit)) - 1,
      };
    }

    async function setEnvironment(point: string): Promise<Operation> {
      const unit = `set-${point}.service`;
      await ward.systemd.install({ [unit]: sleeper(["Environment=MODE=full"]) });
      await ward.systemd.systemctl("start", unit);
      return {
        target: { systemd: { units: [unit], environment: { [unit]: ["MODE"] } } },
        step: {
          do: "systemd.set-environment",
          with: { unit, variables: { MODE: "bare" } },
          revert_after: "12h",
        },
        verify: { do: "systemd.status", with: { unit }, expect: "output.active" },
        whole: 1,
        effects: async () => {
          const mode = await ward.systemd.show(unit, "Environment");
          if (mode === "MODE=full") return 0;
          expect(mode).toBe("MODE=bare");
          return 1;
        },
      };
    }

    /** Two sessions that sit in their transactions. */
    async function terminate(name: string, { oneLeaves = false } = {}): Promise<Operation> {
      const role = await patient.role(name);
      const open = async () => {
        const session = await patient.session({ connectionString: patient.urlOf(role) });
        await session.client.query("BEGIN");
        return session;
      };
      const [leaving] = [await open(), await open()];
      const there = async () => (await patient.admin("SELECT FROM pg_stat_activity WHERE usename = $1", [role])).length;
      const { databases } = patient.asTarget.postgres;
      return {
        target: { postgres: { url: { env: "PATIENT_URL" }, users: [role], databases } },
        step: { do: "postgres.terminate-sessions", with: { olderThanSeconds: 1 } },
        verify: { do: "postgres.activity", expect: "output.longestSeconds < 1000000" },
        whole: 2,
        effects: async () => 2 - (await there()),
        meanwhile: async () => {
          if (!oneLeaves) return;
          await leaving.client.end();
          await until(async () => (await there()) === 1, { what: "the session to end" });
        },
      };
    }

    async function deleteKeys(point: Point): Promise<Operation> {
      const [mine, others] = [`${point}:`, `other-${point}:`];
      const all = Array.from({ length: 700 }, (_, index) => `${mine}${index}`);
      await keys.mset(Object.fromEntries([...all, `${others}1`].map((key) => [key, "x"])));
      return {
        target: { redis: { url: { env: "PATIENT_REDIS_URL" }, keyPatterns: [`${mine}*`] } },
        step: { do: "redis.delete-keys", with: { pattern: `${mine}*` } },
        verify: { do: "redis.round-trip", expect: "output.works" },
        whole: all.length,
        effects: async () => {
          expect(await keys.exists(`${others}1`)).toBe(1);
          return all.length - (await keys.exists(all));
        },
      };
    }

    async function deleteOld(point: Point): Promise<Operation> {
      const folder = join(await temporaryFolder("logs"), point);
      await mkdir(folder);
      const old = ["shop.log.1", "shop.log.2", "shop.log.3"];
      for (const name of [...old, "shop.log", "shop.log.0"]) await writeFile(join(folder, name), "a line\n");
      const longAgo = new Date(Date.now() - 40 * 86_400_000);
      for (const name of old) await utimes(join(folder, name), longAgo, longAgo);
      return {
        target: { files: { folders: [folder] } },
        step: { do: "files.delete-old", with: { folder, pattern: "shop.log.*", olderThanDays: 30 } },
        verify: { do: "files.disk-usage", expect: "output.leastFreePercent >= 0" },
        whole: old.length,
        effects: async () => {
          const left = await readdir(folder);
          expect(left).toEqual(expect.arrayContaining(["shop.log", "shop.log.0"]));
          return old.filter((name) => !left.includes(name)).length;
        },
      };
    }

    test.each(cases)("$action, killed $point: done once, and the run says so", async ({ action, name, point }) => {
      const { whole, effects } = operationOf(name);
      expect(died.get(name)).toEqual({ signal: "SIGKILL", effects: point === "after-effect" ? whole : 0 });
      const run = await ended(name);
      // What may be done twice is planned again, and then there is nothing left to do.
      const state = repeatable.includes(action) && point === "after-effect" ? "nothing-to-do" : "done";
      expect(run).toMatchObject({ outcome: "fixed", steps: [{ id: "change", state }] });
      expect(await effects()).toBe(whole);
    });

    test("where it cannot be told what was done, the run ends unknown, does nothing more and tells people", async () => {
      expect(died.get(inDoubt)).toEqual({ signal: "SIGKILL", effects: 0 });
      const run = await ended(inDoubt);
      expect(run.outcome).toBe("unknown");
      expect(run.events.map(({ type }) => type)).toContain("escalated");
      expect(await operationOf(inDoubt).effects()).toBe(1);
    });

    test.each(points)("what is changed for a time, killed %s, is one mitigation, and is put back", async (point) => {
      const name = `systemd.set-environment ${point}`;
      const { id } = await ended(name);
      const [row, ...more] = await query(databaseUrl, "SELECT id, state FROM paramedic.mitigations WHERE run_id = $1", [
        id,
      ]);
      expect([row?.["state"], more]).toEqual(["in-force", []]);
      await query(databaseUrl, "UPDATE paramedic.mitigations SET revert_at = now() WHERE run_id = $1", [id]);
      await until(
        async () => {
          const [now] = await query(databaseUrl, "SELECT state FROM paramedic.mitigations WHERE run_id = $1", [id]);
          return now?.["state"] === "reverted";
        },
        { timeoutMs: 20_000, what: () => `it to be put back: ${survivor.child.output().slice(-3_000)}` },
      );
      expect(await operationOf(name).effects()).toBe(0);
    });

    test.each(points)("killed %s of putting it back: it is put back once another worker is there", async (point) => {
      const url = (await sharedPostgres()).url;
      const name = `systemd.set-environment again ${point}`;
      const operation = await setEnvironment(`again-${point}`);
      operations.set(name, operation);
      const service = await startService(options(url));
      const run = await service.fire({ alertname: name });
      expect(await service.ended(run)).toMatchObject({ outcome: "fixed" });
      expect(await operation.effects()).toBe(1);
      await service.stop();
      await query(url, "UPDATE paramedic.mitigations SET revert_at = now()");

      await service.start({ STOP_AT: point });
      expect(await service.died()).toMatchObject({ signal: "SIGKILL" });
      expect(await operation.effects()).toBe(point === "after-effect" ? 0 : 1);

      await service.start();
      const reverted = await until(
        async () => {
          const [one] = await query(url, "SELECT state, revert_run FROM paramedic.mitigations");
          return one?.["state"] === "reverted" ? one : null;
        },
        { timeoutMs: 30_000, what: () => `it to be put back: ${service.child.output().slice(-3_000)}` },
      );
      expect(await service.ended(reverted["revert_run"] as string)).toMatchObject({ outcome: "fixed" });
      expect(await operation.effects()).toBe(0);
      await service.stop();
    });
  });
});
