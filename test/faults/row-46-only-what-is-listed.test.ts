/** Row 46: another unit, or another verb, is denied by the target's list and by polkit, asked as the user that Paramedic runs as. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemdRestart } from "../../src/actions/systemd/restart.ts";
import { polkitRules } from "../../src/cli/polkit.ts";
import { contextFor } from "../actions/context.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { startChild } from "../support/process.ts";
import { systemdService } from "../support/systemd.ts";
import { until } from "../support/until.ts";

/** Users that every Debian has: one as Paramedic's own, one as anybody else. */
const own = "daemon";
const other = "nobody";

systemdService.describe("what Paramedic's user may ask of systemd", () => {
  let ward: UnitWard;

  beforeAll(async () => {
    ward = await createUnitWard();
    const targets = [ward.targetWith({ units: ["app.service", "crasher.service"] })];
    await writeFile(join(ward.systemd.rules, "50-paramedic.rules"), polkitRules({ user: own, host: null, targets }));
    await ward.systemd.systemctl("start", "app.service", "bystander.service");
    await until(async () => (await call(own, "RestartUnit", "ss", "app.service", "fail")).allowed, {
      timeoutMs: 20_000,
    });
  });
  afterAll(() => ward?.systemd.down());

  const call = async (user: string, member: string, ...args: readonly string[]) => {
    const systemd = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
    const busctl = ["busctl", `--address=${ward.systemd.busAddress}`, "call", ...systemd, member, ...args];
    const child = await startChild("setpriv", [`--reuid=${user}`, "--regid=nogroup", "--clear-groups", ...busctl]);
    const { code } = await child.exited;
    return { allowed: code === 0, output: child.output() };
  };

  test.each([
    ["RestartUnit of a listed unit", "RestartUnit", ["ss", "crasher.service", "fail"]],
    ["loading a unit to read it", "LoadUnit", ["s", "bystander.service"]],
    ["listening to systemd", "Subscribe", []],
  ])("%s is allowed", async (_what, member, args) => {
    expect(await call(own, member, ...args)).toMatchObject({ allowed: true });
  });

  test.each([
    ["restarting another unit", "RestartUnit", ["ss", "bystander.service", "fail"]],
    ["stopping a listed unit", "StopUnit", ["ss", "app.service", "fail"]],
    ["starting a listed unit", "StartUnit", ["ss", "app.service", "fail"]],
    ["killing a listed unit", "KillUnit", ["ssi", "app.service", "all", "9"]],
    ["changing a listed unit", "SetUnitProperties", ["sba(sv)", "app.service", "true", "1", "MemoryMax", "t", "1000"]],
    ["resetting the failure of a listed unit", "ResetFailedUnit", ["s", "app.service"]],
    ["resetting all failures", "ResetFailed", []],
    ["changing systemd's own environment", "SetEnvironment", ["as", "1", "A=b"]],
    ["enabling unit files", "EnableUnitFiles", ["asbb", "1", "/tmp/x.service", "false", "false"]],
    [
      "starting a unit of one's own making",
      "StartTransientUnit",
      ["ssa(sv)a(sa(sv))", "x.service", "fail", "1", "Description", "s", "x", "0"],
    ],
    ["rebooting", "StartUnit", ["ss", "reboot.target", "replace-irreversibly"]],
  ])("%s is denied", async (_what, member, args) => {
    const states = async () => [
      await ward.systemd.show("app.service", "InvocationID"),
      await ward.systemd.show("bystander.service", "InvocationID"),
      await ward.systemd.show("bystander.service", "ActiveState"),
    ];
    const before = await states();
    const { allowed, output } = await call(own, member, ...args);
    expect(allowed).toBe(false);
    expect(output).toMatch(/Access denied|[Aa]uthentication required|Permission denied/);
    expect(await states()).toEqual(before);
  });

  test("having units read again is allowed only where variables may be set", async () => {
    expect((await call(own, "Reload")).allowed).toBe(true);
    const targets = [{ ...ward.target, systemd: { units: ["app.service"] } }];
    await writeFile(join(ward.systemd.rules, "50-paramedic.rules"), polkitRules({ user: own, host: null, targets }));
    await until(async () => !(await call(own, "Reload")).allowed);
    // The same right is asked for both.
    expect((await call(own, "Reexecute")).output).toMatch(/Access denied|[Aa]uthentication required/);
    expect((await call(own, "RestartUnit", "ss", "crasher.service", "fail")).allowed).toBe(false);
    expect((await call(own, "RestartUnit", "ss", "app.service", "fail")).allowed).toBe(true);
  });

  test("another user is allowed nothing", async () => {
    expect((await call(other, "RestartUnit", "ss", "app.service", "fail")).allowed).toBe(false);
  });

  test("the target's list denies the same, before anything is asked", async () => {
    const target = ward.targetWith({ units: ["app.service"] });
    const nowhere = systemdRestart({ systemBusAddress: "unix:path=/nonexistent" });
    const refused = { status: "failed", retryable: false, reason: expect.stringContaining("does not list this unit") };
    expect(await nowhere.plan({ unit: "bystander.service" }, contextFor(target))).toMatchObject(refused);
    const forged = { unit: "bystander.service", invocationId: "" };
    expect(await nowhere.apply(forged, contextFor(target))).toMatchObject(refused);
    expect(await nowhere.probe?.(forged, contextFor(target))).toBe("unknown");
  });
});
