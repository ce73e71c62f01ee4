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
        /stopped at the cache default: .* Done: migrations:core, checkout\. .* The way back: git -C \S+ checkout main; manage\.py migrate core 0003_ticket_status_priority\.$/,
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
});
