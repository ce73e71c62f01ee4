import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { type MigratePlan, migrate } from "../../../src/actions/django/migrate.ts";
import type { Planned } from "../../../src/domain/action.ts";
import { redisService } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { djangoService } from "../../support/youtility3.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { createDjangoPatient, type DjangoPatient } from "./patient.ts";

let patient: DjangoPatient;
const services = djangoService.available ? redisService : djangoService;
const index = { app: "core", name: "0003_ticket_status_priority" };
const back = { app: "core", to: "0002" };

/** Adds a migration to the copy of the project. */
async function addMigration(name: string, after: string, operation: string): Promise<void> {
  await writeFile(
    join(patient.yt3.folder, "apps/core/migrations", `${name}.py`),
    `from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n` +
      `    dependencies = [("core", "${after}")]\n    operations = [migrations.${operation}]\n`,
  );
}

async function planned(input: {
  app: string;
  to: string;
}): Promise<Extract<Planned<MigratePlan>, { status: "planned" }>> {
  const result = await migrate.plan(input, contextFor(patient.target));
  if (result.status !== "planned") throw new Error(result.reason);
  return result;
}

const applied = () => patient.sql("SELECT app, name FROM django_migrations ORDER BY app, name");
const indexes = () => patient.sql("SELECT indexname FROM pg_indexes WHERE tablename = 'core_ticket' ORDER BY 1");

services.describe("django.migrate in a real Django project", () => {
  beforeAll(async () => {
    patient = await createDjangoPatient();
  }, 90_000);

  afterAll(() => patient?.stop());

  describeContract("django.migrate", {
    input: back,
    hostile: [
      {},
      null,
      { app: "core" },
      { app: "core", to: "" },
      { app: "core", to: "zero" },
      { app: "core", to: "ZERO" },
      { app: "core", to: "0002; id" },
      { app: "core", to: "--fake" },
      { app: "core", to: "../0002" },
      { app: "--all", to: "0002" },
      { app: "core'; DROP TABLE x; --", to: "0002" },
      { app: "apps.core", to: "0002" },
      { app: "core\n", to: "0002" },
      { app: "core", to: "0002", fake: true },
    ],
    healthy: () => ({ action: migrate, target: patient.target }),
    at: (port) => ({ action: migrate, target: patient.at(port) }),
    arrange: async () => {
      if (!JSON.stringify(await applied()).includes(index.name)) await patient.yt3.manage("migrate", "core");
    },
    state: async () => [await applied(), await indexes()],
  });

  describe("planning and applying", () => {
    beforeEach(async () => {
      await patient.yt3.manage("migrate", "core", index.name, "--verbosity=0");
    });

    test("the plan names every step and what it does; a migration that is where it should be is nothing to do", async () => {
      expect(await planned(back)).toMatchObject({
        plan: { app: "core", to: "0002_ticket_priority", steps: [{ ...index, backwards: true }] },
        effects: [
          expect.stringMatching(/^unapply core\.0003_ticket_status_priority: Create index ticket_status_priority/),
        ],
      });
      expect(await planned({ app: "core", to: "0003" })).toMatchObject({ plan: { steps: [] }, effects: [] });
    });

    test("what is not there is refused with what there is", async () => {
      const context = contextFor(patient.target);
      expect(await migrate.plan({ app: "sites", to: "0001" }, context)).toMatchObject({
        reason: expect.stringContaining("no app sites with migrations; it has core, monitoring"),
      });
      expect(await migrate.plan({ app: "core", to: "0009" }, context)).toMatchObject({
        reason: expect.stringContaining("no migration 0009; it has 0001_initial, 0002_ticket_priority"),
      });
      expect(await migrate.plan({ app: "core", to: "000" }, context)).toMatchObject({
        reason: expect.stringContaining("migrations that begin with 000"),
      });
    });

    test("what was planned is not applied when somebody else has migrated in the meantime", async () => {
      const { plan } = await planned({ app: "core", to: "0001" });
      expect(plan.steps).toHaveLength(2);
      await patient.yt3.manage("migrate", "core", "0002", "--verbosity=0");
      const before = await applied();
      expect(await migrate.apply(plan, contextFor(patient.target))).toMatchObject({
        status: "failed",
        reason: expect.stringContaining("no longer what was planned"),
        retryable: false,
      });
      expect(await applied()).toEqual(before);
      expect(await migrate.probe?.(plan, contextFor(patient.target))).toBe("unknown");
    });

    test("the probe tells what has happened", async () => {
      const { plan } = await planned(back);
      const context = contextFor(patient.target);
      expect(await migrate.probe?.(plan, context)).toBe("not-applied");
      expect(await migrate.apply(plan, context)).toEqual({
        status: "done",
        result: { migrated: [`core.${index.name}`] },
      });
      expect(await migrate.probe?.(plan, context)).toBe("applied");
      expect(await migrate.probe?.(plan, contextFor(patient.at(1)))).toBe("unknown");
    });

    test("a migration that would wait for a lock gives up after five seconds and has changed nothing", async () => {
      const { plan } = await planned(back);
      const before = await indexes();
      const reader = new Client({ connectionString: patient.yt3.env["YT3_DATABASE_URL"] as string });
      await reader.connect();
      await reader.query("BEGIN; SELECT count(*) FROM core_ticket");
      const outcome = await migrate.apply(plan, contextFor(patient.target));
      await reader.end();
      expect(outcome).toMatchObject({ status: "failed", reason: expect.stringContaining("lock timeout") });
      expect(await indexes()).toEqual(before);
      expect(await migrate.probe?.(plan, contextFor(patient.target))).toBe("not-applied");
    }, 60_000);
  });

  test("where the second of two raises, the first is named: it stays", async () => {
    await addMigration("0004_fine", index.name, `RunSQL("SELECT 1", "SELECT 1")`);
    await addMigration("0005_raises", "0004_fine", `RunSQL("SELECT 1/0", "SELECT 1")`);
    const { plan } = await planned({ app: "core", to: "0005" });
    expect(await migrate.apply(plan, contextFor(patient.target))).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringMatching(/division by zero .*\. Carried out before that, and still so: core\.0004_fine\.$/),
    });
    expect(await migrate.probe?.(plan, contextFor(patient.target))).toBe("unknown");
    const { plan: rest } = await planned({ app: "core", to: "0005" });
    expect(await migrate.apply(rest, contextFor(patient.target))).toMatchObject({
      status: "failed",
      reason: expect.stringMatching(/No migration is recorded as carried out\.$/),
    });
    await patient.yt3.manage("migrate", "core", index.name, "--verbosity=0");
    for (const name of ["0004_fine", "0005_raises"])
      await rm(join(patient.yt3.folder, "apps/core/migrations", `${name}.py`));
  });

  test("a migration that waits in another database of the project gives up as soon", async () => {
    await writeFile(
      join(patient.yt3.folder, "two_databases.py"),
      "from youtility3.settings import *\n\nDATABASES = {**DATABASES, 'other': dict(DATABASES['default'])}\n",
    );
    await writeFile(
      join(patient.yt3.folder, "apps/core/migrations/0004_other.py"),
      "from django.db import connections, migrations, transaction\n\n\ndef forth(apps, schema_editor):\n" +
        "    with transaction.atomic('other'), connections['other'].cursor() as cursor:\n        cursor.execute('LOCK TABLE core_location')\n\n\n" +
        `class Migration(migrations.Migration):\n    dependencies = [("core", "${index.name}")]\n` +
        "    operations = [migrations.RunPython(forth, migrations.RunPython.noop)]\n    atomic = False\n",
    );
    const target = patient.with({ settings: "two_databases" });
    const result = await migrate.plan({ app: "core", to: "0004" }, contextFor(target));
    if (result.status !== "planned") throw new Error(result.reason);
    const reader = new Client({ connectionString: patient.yt3.env["YT3_DATABASE_URL"] as string });
    await reader.connect();
    await reader.query("BEGIN; SELECT count(*) FROM core_location");
    const outcome = await migrate.apply(result.plan, contextFor(target, AbortSignal.timeout(20_000)));
    await reader.end();
    await rm(join(patient.yt3.folder, "apps/core/migrations/0004_other.py"));
    expect(outcome).toMatchObject({ status: "failed", reason: expect.stringContaining("lock timeout") });
  }, 60_000);

  test("one that was stopped in the middle cannot be told until it is probed, and its session ends", async () => {
    await addMigration("0004_sleeps", index.name, `RunSQL("SELECT pg_sleep(600)", "SELECT 1")`);
    const { plan } = await planned({ app: "core", to: "0004" });
    const sleeping = () =>
      patient.sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");
    const abort = new AbortController();
    const outcome = migrate.apply(plan, contextFor(patient.target, abort.signal));
    await until(async () => (await sleeping()).length === 1, { timeoutMs: 20_000 });
    abort.abort();
    expect(await outcome).toMatchObject({ status: "unknown" });
    await until(async () => (await sleeping()).length === 0);
    expect(await migrate.probe?.(plan, contextFor(patient.target))).toBe("not-applied");
  });

  test("what has no reverse is not unapplied, and is said to be for good before it is applied", async () => {
    await addMigration("0004_sleeps", index.name, `RunSQL("UPDATE core_ticket SET priority = 1")`);
    const { plan, effects } = await planned({ app: "core", to: "0004" });
    expect(effects).toEqual([expect.stringMatching(/^apply core\.0004_sleeps \(cannot be unapplied\): Raw SQL/)]);
    expect(await migrate.apply(plan, contextFor(patient.target))).toMatchObject({ status: "done" });
    expect(await migrate.plan(back, contextFor(patient.target))).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("core.0004_sleeps cannot be unapplied"),
    });
  });
});
