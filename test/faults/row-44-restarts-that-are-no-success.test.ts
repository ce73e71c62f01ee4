/** Row 44: a restart that systemd skipped, that somebody cancelled or whose dependency failed is no success; nor is a forged one. */

import { rm, writeFile } from "node:fs/promises";
import { systemdRestart } from "../../src/actions/systemd/restart.ts";
import type { Outcome } from "../../src/domain/action.ts";
import { contextFor } from "../actions/context.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { systemdService } from "../support/systemd.ts";
import { serviceUnit } from "../support/systemd-units.ts";
import { until } from "../support/until.ts";

systemdService.describe("a restart that did not happen", () => {
  let ward: UnitWard;

  beforeAll(async () => {
    ward = await createUnitWard();
  });
  afterAll(() => ward?.systemd.down());

  const restart = async (unit: string, during?: () => Promise<void>): Promise<Outcome> => {
    const target = ward.targetWith({ units: [unit] });
    const action = systemdRestart(ward.settings);
    const plan = await action.plan({ unit }, contextFor(target));
    if (plan.status !== "planned") throw new Error(plan.reason);
    const applied = action.apply(plan.plan, contextFor(target));
    await during?.();
    return await applied;
  };
  const queued = () =>
    until(
      async () => /^\s*(\d+) slow-stop\.service/m.exec(await ward.systemd.systemctl("list-jobs", "--no-legend"))?.[1],
    );

  test("a condition of the unit does not hold, which systemd calls done", async () => {
    await writeFile(ward.condition, "");
    await ward.systemd.systemctl("start", "conditional.service");
    await rm(ward.condition);
    expect(await restart("conditional.service")).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringMatching(/it was inactive .* because a condition in its unit file does not hold/),
    });
  });

  test("what the unit asks before it starts says no, which systemd calls done, too", async () => {
    const asked = `ExecCondition=/bin/sh -c 'test -e ${ward.condition}'`;
    await ward.systemd.install({ "choosy.service": serviceUnit("/bin/sleep infinity", [asked]) });
    await writeFile(ward.condition, "");
    await ward.systemd.systemctl("start", "choosy.service");
    await rm(ward.condition);
    expect(await restart("choosy.service")).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringMatching(/it was inactive .* because a condition in its unit file does not hold/),
    });
  });

  test("canceled: another client cancels what is queued", async () => {
    await ward.systemd.systemctl("start", "slow-stop.service");
    const outcome = await restart("slow-stop.service", async () => {
      await ward.systemd.systemctl("cancel", await queued());
    });
    expect(outcome).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("'canceled': somebody cancelled it"),
    });
  }, 20_000);

  test("dependency: what it needs does not start", async () => {
    await ward.systemd.install({
      "needed.service": serviceUnit("/bin/false", ["Type=oneshot"]),
      "needing.service": serviceUnit("/bin/sleep infinity", [], ["Requires=needed.service", "After=needed.service"]),
    });
    expect(await restart("needing.service")).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("'dependency': something that it needs did not start"),
    });
  });

  test("failed and timeout: its start fails or takes too long", async () => {
    await ward.systemd.install({
      "refusing.service": serviceUnit("/bin/sleep infinity", ["ExecStartPre=/bin/sh -c 'exit 3'"]),
      "unready.service": serviceUnit("/bin/sleep infinity", ["Type=notify", "TimeoutStartSec=1"]),
    });
    expect(await restart("refusing.service")).toMatchObject({
      reason: expect.stringMatching(/'failed': it did not start\. It is failed \(failed, result exit-code\) now/),
    });
    expect(await restart("unready.service")).toMatchObject({
      reason: expect.stringMatching(/did not start.* It is failed \(failed, result timeout\) now/),
    });
  }, 20_000);

  test("a stop that somebody has queued is not replaced", async () => {
    await ward.systemd.systemctl("start", "slow-stop.service");
    await ward.systemd.systemctl("stop", "--no-block", "slow-stop.service");
    await queued();
    expect(await restart("slow-stop.service")).toMatchObject({
      status: "failed",
      retryable: true,
      reason: expect.stringContaining("Something else is queued for slow-stop.service"),
    });
    await until(async () => (await ward.systemd.show("slow-stop.service", "ActiveState")) !== "deactivating");
    expect(await ward.systemd.show("slow-stop.service", "ActiveState")).not.toBe("active");
  }, 20_000);

  test("a result that another process forges is not believed", async () => {
    await ward.systemd.systemctl("reset-failed");
    await ward.systemd.systemctl("start", "slow-stop.service");
    const started = performance.now();
    const outcome = await restart("slow-stop.service", async () => {
      const id = await queued();
      const names = (await ward.systemd.inside("busctl", "list", "--unique", "--no-legend")).stdout;
      const path = `/org/freedesktop/systemd1/job/${id}`;
      const body = [`uint32:${id}`, `objpath:${path}`, "string:slow-stop.service", "string:canceled"];
      for (const [name] of names.matchAll(/^:1\.\d+/gm)) {
        const args = ["--system", "--type=signal", `--dest=${name}`, "/org/freedesktop/systemd1"];
        const signal = [...args, "org.freedesktop.systemd1.Manager.JobRemoved", ...body];
        await ward.systemd.inside("setpriv", "--reuid=65534", "--clear-groups", "dbus-send", ...signal);
      }
    });
    expect(outcome).toMatchObject({ status: "done", result: { restarted: true } });
    expect(performance.now() - started).toBeGreaterThan(2_000);
  }, 20_000);
});
