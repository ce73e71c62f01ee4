/**
 * A worker that is killed while a change of several steps is half done: between two migrations, and inside of the steps of
 * a rollback. The next worker finishes what can be finished, once, and where that cannot be told the run says so.
 */

import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { RunView } from "../../src/api/run-view.ts";
import { createRepository, type Repository } from "../actions/deploy/repository.ts";
import { createDjangoPatient, type DjangoPatient } from "../actions/django/patient.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { redisService } from "../support/redis.ts";
import { temporaryFolder } from "../support/run-folder.ts";
import { killServices, type Service, type ServiceOptions, startService } from "../support/service.ts";
import { systemdService } from "../support/systemd.ts";
import { serviceUnit } from "../support/systemd-units.ts";
import { sleep, until } from "../support/until.ts";
import { djangoService } from "../support/youtility3.ts";

jest.setTimeout(120_000);

const services = [systemdService, redisService, djangoService];
const cases = ["migrating", "checking-out", "installing", "restarting"] as const;
type Case = (typeof cases)[number];

(services.find(({ available }) => !available) ?? systemdService).describe(
  "a worker that is killed inside of a change",
  () => {
    let ward: UnitWard;
    let patient: DjangoPatient;
    let survivor: Service;
    let databaseUrl: string;
    let options: ServiceOptions;
    const repositories = new Map<Case, { readonly repository: Repository; readonly v1: string }>();
    const runs = new Map<Case, string>();

    const unitOf = (name: Case) => `${name}.service`;
    const path = (name: Case, file: string) => join(repositories.get(name)?.repository.folder as string, ".git", file);
    const read = (name: Case, file: string) => readFile(path(name, file), "utf8").catch(() => "");
    const restarts = async (name: Case) => (await ward.starts(unitOf(name))) - 1;
    const installed = async (name: Case) => (await read(name, "installed")).split("\n").length - 1;
    const sleeping = () =>
      patient.sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
    const locks = () =>
      patient.sql("SELECT FROM pg_locks WHERE relation = 'core_location'::regclass AND mode = 'AccessExclusiveLock'");
    const applied = () =>
      patient.sql("SELECT name FROM django_migrations WHERE app = 'core' AND name > '0004' ORDER BY name");

    /** Two migrations, of which the one that is taken back second waits with a lock. */
    async function migrationsToTakeBack(): Promise<void> {
      const add = (name: string, after: string, back: string) =>
        writeFile(
          join(patient.yt3.folder, "apps/core/migrations", `${name}.py`),
          "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n" +
            `    dependencies = [("core", "${after}")]\n    operations = [migrations.RunSQL("SELECT 1", "${back}")]\n`,
        );
      await add("0004_waits", "0003_ticket_status_priority", "LOCK TABLE core_location; SELECT pg_sleep(600)");
      await add("0005_fine", "0004_waits", "SELECT 1");
      await patient.yt3.manage("migrate", "core", "--verbosity=0");
    }

    /** A checkout whose git waits while `hold` is there, and whose program for the dependencies waits while `hold-it` is. */
    async function versionsOf(name: Case): Promise<object> {
      const unit = unitOf(name);
      await ward.systemd.install({ [unit]: serviceUnit("/bin/sleep infinity") });
      await ward.systemd.systemctl("start", unit);
      const repository = await createRepository(join(await temporaryFolder("checkout"), name));
      const folder = join(repository.folder, ".git");
      const waiting = (hold: string, held: string) =>
        `while [ -e ${folder}/${hold} ]; do echo > ${folder}/${held}; sleep 0.02; done`;
      const script = (file: string, lines: readonly string[]) =>
        writeFile(join(folder, file), `#!/bin/sh\n${lines.join("\n")}\n`, { mode: 0o755 });
      await script("filter", [waiting("hold", "held"), "cat"]);
      await script("install", [
        `echo begun >> ${folder}/begun`,
        waiting("hold-it", "held-it"),
        `echo >> ${folder}/installed`,
      ]);
      await repository.git("config", "filter.slow.smudge", join(folder, "filter"));
      const v1 = await repository.commit(
        "one",
        { ".gitattributes": "slow filter=slow\n", app: "one", "requirements.txt": "a==1\n", slow: "one", zone: "one" },
        "v1",
      );
      await repository.commit("two", { app: "two", "requirements.txt": "a==2\n", slow: "two", zone: "two" });
      repositories.set(name, { repository, v1 });
      const hold = { "checking-out": "hold", installing: "hold-it" } as Readonly<Record<string, string>>;
      if (hold[name] !== undefined) await writeFile(join(folder, hold[name]), "");
      return {
        systemd: { units: [unit], settle: name === "restarting" ? "20s" : "1s", journal: ward.systemd.journal },
        deploy: { checkout: repository.folder, tags: "v*", dependencies: [join(folder, "install")], restart: [unit] },
      };
    }

    async function optionsFor(): Promise<ServiceOptions> {
      const folder = await temporaryFolder("disk");
      const env = Object.entries(patient.yt3.env);
      const { project, python, settings } = patient.yt3.django;
      const django = { project, python, settings, env: Object.fromEntries(env.map(([of]) => [of, { env: of }])) };
      const targets: Record<string, object> = { migrating: { files: { folders: [folder] }, django } };
      for (const name of cases.slice(1)) targets[name] = { files: { folders: [folder] }, ...(await versionsOf(name)) };
      const playbooks = cases.map((name) =>
        stringify({
          name,
          summary: "Change several things.",
          on: { alerts: [`alertname="${name}"`] },
          target: { name },
          escalate: "database",
          steps: [
            name === "migrating"
              ? { id: "change", do: "django.migrate", with: { app: "core", to: "0003" } }
              : { id: "change", do: "deploy.rollback", with: {} },
          ],
          verify: [{ do: "files.disk-usage", expect: "output.leastFreePercent >= 0", within: "20s", every: "1s" }],
        }),
      );
      return {
        databaseUrl,
        targets: {},
        playbooks,
        worker: { lease: "30s", reconcileEvery: "1s", concurrency: cases.length },
        sections: { targets },
        env: { DBUS_SYSTEM_BUS_ADDRESS: ward.systemd.busAddress, ...patient.yt3.env },
      };
    }

    /** Approves whatever is asked, until it is so. */
    async function approvingUntil<T>(service: Service, what: string, condition: () => Promise<T | false>): Promise<T> {
      return until(
        async () => {
          const { body } = await service.api("GET", "/api/v1/approvals?state=pending").catch(() => ({ body: null }));
          for (const { id, digest } of body?.approvals ?? []) {
            await service
              .api("POST", `/api/v1/approvals/${id}`, { decision: "approve", digest })
              .catch(() => undefined);
          }
          const met = await condition();
          if (!met) await sleep(100);
          return met;
        },
        { timeoutMs: 60_000, what: () => `${what}: ${service.child.output().slice(-3_000)}` },
      );
    }

    async function ended(name: Case): Promise<RunView> {
      const run = await approvingUntil(survivor, `${name} to end`, async () => {
        const now = await survivor.run(runs.get(name) as string);
        return now.state === "ended" && now;
      });
      expect(run.events.filter(({ type }) => type === "taken-over")).toHaveLength(1);
      return run;
    }

    beforeAll(async () => {
      ward = await createUnitWard();
      patient = await createDjangoPatient();
      await migrationsToTakeBack();
      databaseUrl = (await sharedPostgres()).url;
      options = await optionsFor();
      const victim = await startService(options);
      for (const name of cases) runs.set(name, await victim.fire({ alertname: name }));
      await approvingUntil(victim, "every change to be half done", async () => {
        const waits = [existsSync(path("checking-out", "held")), existsSync(path("installing", "held-it"))];
        return waits.every(Boolean) && (await restarts("restarting")) === 1 && (await sleeping()).length === 1;
      });
      // That one process alone, as the kernel would.
      victim.child.process.kill("SIGKILL");
      await victim.child.exited;
      for (const [name, hold] of [
        ["checking-out", "hold"],
        ["installing", "hold-it"],
      ] as const)
        await rm(path(name, hold));
    }, 180_000);

    afterAll(async () => {
      await killServices();
      await patient?.stop();
      await ward?.systemd.down();
    });

    test("between two migrations: its session and its lock are gone", async () => {
      await until(async () => (await sleeping()).length === 0 && (await locks()).length === 0, {
        timeoutMs: 10_000,
        what: "the session to end",
      });
      expect(await applied()).toEqual([{ name: "0004_waits" }]);
    });

    test("in the checkout and in the dependencies: what had been begun is there in part, and nothing of it goes on", async () => {
      const { repository } = repositories.get("checking-out") as { repository: Repository };
      expect(await readFile(join(repository.folder, "app"), "utf8")).toBe("one");
      expect(await readFile(join(repository.folder, "zone"), "utf8")).toBe("two");
      expect([await read("installing", "begun"), await read("installing", "installed")]).toEqual(["begun\n", ""]);
    });

    describe("and when another worker has taken them over", () => {
      beforeAll(async () => {
        await query(
          databaseUrl,
          "UPDATE paramedic.runs SET lease_until = now(), due_at = now() WHERE lease_until > now()",
        );
        survivor = await startService(options);
      }, 60_000);

      test("half a migration is said not to be known, and is for people", async () => {
        const run = await ended("migrating");
        expect(run.outcome).toBe("unknown");
        expect(run.events.map(({ type }) => type)).toContain("escalated");
        expect(await applied()).toEqual([{ name: "0004_waits" }]);
      });

      test.each(cases.slice(1))("%s: it is finished, each step once", async (name) => {
        const { repository, v1 } = repositories.get(name) as { repository: Repository; v1: string };
        const run = await ended(name);
        expect(run).toMatchObject({ outcome: "fixed", steps: [{ id: "change", state: "done" }] });
        expect(await repository.git("rev-parse", "HEAD")).toBe(v1);
        expect(await repository.git("status", "--porcelain")).toBe("");
        expect([await installed(name), await restarts(name)]).toEqual([1, 1]);
        expect(existsSync(path(name, "index.lock"))).toBe(false);
      });
    });
  },
);
