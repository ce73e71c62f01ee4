import { systemdStatus } from "../../../src/actions/systemd/status.ts";
import { systemdService } from "../../support/systemd.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { busAt, createUnitWard, type UnitWard } from "./unit-ward.ts";

systemdService.describe("systemd.status", () => {
  let ward: UnitWard;

  beforeAll(async () => {
    ward = await createUnitWard();
    await ward.systemd.systemctl("start", "app.service");
  });
  afterAll(() => ward?.systemd.down());

  const status = async (unit: string) => systemdStatus(ward.settings).observe({ unit }, contextFor(ward.target));

  describeContract("systemd.status", {
    input: { unit: "app.service" },
    hostile: [{}, null, { unit: "" }, { unit: "app" }, { unit: "a/b.service" }, { unit: "-a.service" }],
    healthy: () => ({ action: systemdStatus(ward.settings), target: ward.target }),
    at: (port) => ({ action: systemdStatus(busAt(port)), target: ward.target }),
    state: () => ward.systemd.show("app.service", "InvocationID"),
  });

  test("tells what systemd says of a unit that runs", async () => {
    expect(await status("app.service")).toEqual({
      status: "observed",
      output: {
        unit: "app.service",
        activeState: "active",
        subState: "running",
        active: true,
        activeSeconds: expect.any(Number),
        result: "success",
        exitStatus: 0,
        restarts: 0,
        mainPid: Number(await ward.systemd.show("app.service", "MainPID")),
        invocationId: await ward.systemd.show("app.service", "InvocationID"),
      },
    });
  });

  test("tells that systemd restarted it by itself", async () => {
    await until(() => fetch(`http://127.0.0.1:${ward.port}/health`));
    await fetch(`http://127.0.0.1:${ward.port}/die`).catch(() => undefined);
    await until(async () => {
      const seen = await status("app.service");
      return seen.status === "observed" && seen.output.restarts === 1 && seen.output.active;
    });
  });

  test("tells how a unit failed, and of one that was never started", async () => {
    await ward.systemd.systemctl("start", "no-binary.service");
    await until(async () => (await ward.systemd.show("no-binary.service", "ActiveState")) === "failed");
    expect(await status("no-binary.service")).toMatchObject({
      output: { activeState: "failed", active: false, activeSeconds: 0, result: "exit-code", exitStatus: 203 },
    });
    expect(await status("crasher.service")).toMatchObject({ output: { activeState: "inactive", invocationId: "" } });
  });

  test("refuses a unit that is not listed, masked or absent", async () => {
    expect(await status("bystander.service")).toMatchObject({ status: "failed", retryable: false });
    await ward.systemd.systemctl("mask", "--runtime", "crasher.service");
    await ward.systemd.systemctl("daemon-reload");
    const target = ward.targetWith({ units: ["absent.service"] });
    const absent = await systemdStatus(ward.settings).observe({ unit: "absent.service" }, contextFor(target));
    expect(absent).toMatchObject({ reason: expect.stringContaining("There is no unit") });
  });
});
