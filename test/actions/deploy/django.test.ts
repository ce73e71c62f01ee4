import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RollbackPlan } from "../../../src/actions/deploy/progress.ts";
import { deployRollback } from "../../../src/actions/deploy/rollback.ts";
import type { DeployTarget, Target } from "../../../src/domain/target.ts";
import { redisService } from "../../support/redis.ts";
import { djangoService } from "../../support/youtility3.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { createDjangoPatient, type DjangoPatient } from "../django/patient.ts";
import { createRepository, type Repository } from "./repository.ts";

const services = djangoService.available ? redisService : djangoService;
const rollback = deployRollback({ systemBusAddress: null });
const migration = "apps/core/migrations/0003_ticket_status_priority.py";

let patient: DjangoPatient;
let repository: Repository;

const deployed = (target: Target, change: Partial<DeployTarget> = {}): Target => ({
  ...target,
  deploy: { checkout: patient.yt3.folder, tags: "v*", caches: ["default"], restart: [], ...change },
});
const applied = () => patient.sql("SELECT app, name FROM django_migrations WHERE app = 'core' ORDER BY name");

services.describe("deploy.rollback of a real Django project", () => {
  beforeAll(async () => {
    patient = await createDjangoPatient();
    repository = await createRepository(patient.yt3.folder);
    const text = await readFile(join(patient.yt3.folder, migration), "utf8");
    await rm(join(patient.yt3.folder, migration));
    await repository.commit("before", { ".gitignore": "__pycache__\n" }, "v1");
    await writeFile(join(patient.yt3.folder, migration), text);
    await repository.commit("an index on tickets", {}, "v2");
  }, 90_000);

  afterAll(() => patient?.stop());

  const arrange = async () => {
    await repository.git("checkout", "--quiet", "main");
    await patient.yt3.manage("migrate", "core", "--verbosity=0");
    await patient.cache.set(":1:cached", "x");
  };

  describeContract("deploy.rollback", {
    input: {},
    hostile: [null, { tag: "--force" }, { tag: "v1; reboot" }, { tag: "../v1" }, { checkout: "/" }],
    healthy: () => ({ action: rollback, target: deployed(patient.target) }),
    at: (port) => ({ action: rollback, target: deployed(patient.at(port)) }),
    arrange,
    state: async () => [await repository.git("rev-parse", "HEAD"), await applied(), await patient.cached()],
  });

  test("unapplies with the newer code what the older does not know, before that is checked out", async () => {
    await arrange();
    const result = await rollback.plan({ migrations: "unapply" }, contextFor(deployed(patient.target)));
    expect(result).toMatchObject({
      effects: [
        expect.stringMatching(/^check out v1 /),
        expect.stringMatching(/^take back .* an index on tickets$/),
        expect.stringMatching(/^unapply core\.0003_ticket_status_priority: /),
        expect.stringMatching(/^empty the cache default/),
      ],
    });
    if (result.status !== "planned") return;
    expect(await rollback.apply(result.plan, contextFor(deployed(patient.target)))).toMatchObject({
      status: "done",
      result: { tag: "v1", unapplied: ["core.0003_ticket_status_priority"] },
    });
    expect((await applied()).map((row) => row["name"])).not.toContain("0003_ticket_status_priority");
    expect(await patient.cached()).toEqual({});
  });

  test("the database can be left as it is", async () => {
    await arrange();
    const result = await rollback.plan({ migrations: "keep" }, contextFor(deployed(patient.target)));
    expect(result).toMatchObject({
      plan: { migrations: [] },
      effects: expect.arrayContaining(["leave the migrations of core that v1 does not have"]),
    });
  });

  test("a cache that fails stops it with the way back, and what was done is not done again", async () => {
    await arrange();
    const result = await rollback.plan({ migrations: "unapply" }, contextFor(deployed(patient.target)));
    const plan = (result as { plan: RollbackPlan }).plan;
    await patient.cache.select(0);
    await patient.cache.set("somebody-elses", "x");
    const outcome = await rollback.apply(plan, contextFor(deployed(patient.target)));
    expect(outcome).toMatchObject({
      status: "failed",
      reason: expect.stringMatching(
        /stopped at the cache default: .* Done: migrations:core, checkout\. Begun: cache:default\. .* The way back: git -C \S+ checkout main; manage\.py migrate core 0003_ticket_status_priority; empty the cache default\.$/,
      ),
    });
    await patient.cache.del("somebody-elses");
    expect(await rollback.probe?.(plan, contextFor(deployed(patient.target)))).toBe("not-applied");
    expect(await rollback.plan({ migrations: "unapply" }, contextFor(deployed(patient.target)))).toMatchObject({
      plan,
      effects: ["go on with the rollback to v1: the cache default"],
    });
    expect(await rollback.apply(plan, contextFor(deployed(patient.target)))).toMatchObject({ status: "done" });
    expect(await rollback.probe?.(plan, contextFor(deployed(patient.target)))).toBe("applied");
  });

  describe("with two migrations of which the second cannot be taken back just now", () => {
    const raiseNow = () => join(patient.yt3.folder, "raise-now");

    beforeAll(async () => {
      await arrange();
      const migrations = join(patient.yt3.folder, "apps/core/migrations");
      const text = (after: string, back: string) =>
        `import os\n\nfrom django.db import migrations\n\n\ndef back(apps, schema_editor):\n    ${back}\n\n\n` +
        `class Migration(migrations.Migration):\n    dependencies = [("core", "${after}")]\n` +
        "    operations = [migrations.RunPython(migrations.RunPython.noop, back)]\n";
      const raises = 'if os.path.exists("raise-now"):\n        raise ValueError("not just now")';
      await writeFile(join(migrations, "0004_raises.py"), text("0003_ticket_status_priority", raises));
      await writeFile(join(migrations, "0005_fine.py"), text("0004_raises", "pass"));
      await repository.commit("two migrations", {}, "v3");
    });
    beforeEach(async () => {
      await arrange();
      await writeFile(raiseNow(), "");
    });
    afterEach(() => rm(raiseNow(), { force: true }));

    const target = () => deployed(patient.target);
    const plan = async () => {
      const result = await rollback.plan({ migrations: "unapply", tag: "v2" }, contextFor(target()));
      if (result.status !== "planned") throw new Error(result.reason);
      return result.plan;
    };

    test("it says which is unapplied and how to put it back, and goes on when it is started again", async () => {
      const made = await plan();
      expect(await rollback.apply(made, contextFor(target()))).toMatchObject({
        status: "failed",
        retryable: false,
        reason: expect.stringMatching(
          /^The rollback to v2 stopped at the migrations of core: .* ValueError: not just now\. Carried out before that, and still so: core\.0005_fine\. Done: nothing\. Begun: migrations:core \(unapplied: core\.0005_fine\)\. Start it again to go on\. The way back: manage\.py migrate core 0005_fine\.$/,
        ),
      });
      expect((await applied()).map((row) => row["name"])).toContain("0004_raises");
      expect((await applied()).map((row) => row["name"])).not.toContain("0005_fine");
      expect(await rollback.probe?.(made, contextFor(target()))).toBe("not-applied");
      expect(await plan()).toEqual(made);
      await rm(raiseNow());
      expect(await rollback.apply(made, contextFor(target()))).toMatchObject({ status: "done" });
      expect((await applied()).map((row) => row["name"])).not.toContain("0004_raises");
    });

    test("who goes the way back is believed: another tag may be gone to", async () => {
      expect(await rollback.apply(await plan(), contextFor(target()))).toMatchObject({ status: "failed" });
      const other = () => rollback.plan({ migrations: "keep", tag: "v1" }, contextFor(target()));
      expect(await other()).toMatchObject({
        status: "failed",
        reason: expect.stringContaining("A rollback to v2 was begun and not finished"),
      });
      await patient.yt3.manage("migrate", "core", "0005_fine", "--verbosity=0");
      expect(await other()).toMatchObject({ status: "planned", plan: { tag: "v1" } });
    });
  });
});
