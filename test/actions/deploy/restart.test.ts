import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openCheckout } from "../../../src/actions/deploy/git.ts";
import { type Progress, readProgress, writeProgress } from "../../../src/actions/deploy/progress.ts";
import { deployRollback } from "../../../src/actions/deploy/rollback.ts";
import type { Target } from "../../../src/domain/target.ts";
import { systemdService } from "../../support/systemd.ts";
import { contextFor } from "../context.ts";
import { createUnitWard, type UnitWard } from "../systemd/unit-ward.ts";
import { createRepository, type Repository } from "./repository.ts";

systemdService.describe("deploy.rollback with units of a real systemd", () => {
  let ward: UnitWard;
  let repository: Repository;

  beforeAll(async () => {
    ward = await createUnitWard();
  });
  afterAll(() => ward?.systemd.down());

  beforeEach(async () => {
    repository = await createRepository();
    await repository.commit("one", { "app.py": "1" }, "v1");
    await repository.commit("two", { "app.py": "2" }, "v2");
    await ward.systemd.systemctl("start", "app.service");
  });
  afterEach(() => rm(repository.folder, { recursive: true }));

  const targetWith = (...restart: string[]): Target => ({
    ...ward.target,
    deploy: { checkout: repository.folder, tags: "v*", caches: [], restart },
  });
  const rollback = () => deployRollback(ward.settings);
  const planned = async (target: Target) => {
    const result = await rollback().plan({ migrations: "unapply" }, contextFor(target));
    if (result.status !== "planned") throw new Error(result.reason);
    return result;
  };
  const invocation = () => ward.systemd.show("app.service", "InvocationID");

  test("restarts the unit after the older code is there, and only once", async () => {
    const target = targetWith("app.service");
    const before = await invocation();
    const { plan, effects } = await planned(target);
    expect(effects.at(-1)).toMatch(/^restart app\.service /);
    expect(await rollback().apply(plan, contextFor(target))).toMatchObject({ status: "done" });
    const after = await invocation();
    expect(after).not.toBe(before);
    expect(await rollback().apply(plan, contextFor(target))).toMatchObject({ status: "done" });
    expect(await invocation()).toBe(after);
  });

  test("a unit that does not stay up stops it with the way back", async () => {
    const target = targetWith("app.service", "no-binary.service");
    const { plan } = await planned(target);
    expect(await rollback().apply(plan, contextFor(target))).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringMatching(
        /stopped at the restart of no-binary\.service: .* Done: checkout, restart:app\.service\. Begun: restart:no-binary\.service\. .* checkout main; systemctl restart app\.service; systemctl restart no-binary\.service\.$/,
      ),
    });
  });

  test("killed after the restart and before it could say so, it does not restart again", async () => {
    const target = targetWith("app.service");
    const { plan } = await planned(target);
    await rollback().apply(plan, contextFor(target));
    const after = await invocation();
    // As it would be had the process been killed while it watched the unit.
    const checkout = await openCheckout(repository.folder, new AbortController().signal);
    if (checkout.status === "failed") throw new Error(checkout.reason);
    const path = join(checkout.gitFolder, "paramedic-rollback.json");
    const progress = (await readProgress(checkout)) as Progress;
    const restarting = { unit: "app.service", invocationId: "0".repeat(32) };
    await writeProgress(checkout, { ...progress, done: ["checkout"], restarting, finished: false });
    expect(await rollback().probe?.(plan, contextFor(target))).toBe("not-applied");
    expect((await planned(target)).plan).toEqual(plan);
    expect(await rollback().apply(plan, contextFor(target))).toMatchObject({ status: "done" });
    expect(await invocation()).toBe(after);
    // A file that is damaged says nothing, and nothing is done twice because of it.
    await writeFile(path, (await readFile(path, "utf8")).slice(0, 40));
    expect(await rollback().probe?.(plan, contextFor(target))).toBe("unknown");
  });
});
