import { rm, writeFile } from "node:fs/promises";
import { type RestartPlan, systemdRestart } from "../../../src/actions/systemd/restart.ts";
import type { Target } from "../../../src/domain/target.ts";
import { systemdService } from "../../support/systemd.ts";
import { until } from "../../support/until.ts";
import { bareTarget, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { busAt, createUnitWard, type UnitWard } from "./unit-ward.ts";

systemdService.describe("systemd.restart", () => {
  let ward: UnitWard;

  beforeAll(async () => {
    ward = await createUnitWard();
  });
  afterAll(() => ward?.systemd.down());

  const restart = () => systemdRestart(ward.settings);
  const running = async (unit: string) => {
    await ward.systemd.systemctl("start", unit);
    return await ward.systemd.show(unit, "InvocationID");
  };
  const plan = (unit: string, target: Target = ward.target) => restart().plan({ unit }, contextFor(target));
  const planned = async (unit: string, target: Target = ward.target): Promise<RestartPlan> => {
    const result = await plan(unit, target);
    if (result.status !== "planned") throw new Error(JSON.stringify(result));
    return result.plan;
  };
  const apply = async (unit: string, target: Target = ward.target) =>
    await restart().apply(await planned(unit, target), contextFor(target));

  describeContract("systemd.restart", {
    input: { unit: "app.service" },
    hostile: [
      {},
      null,
      { unit: "" },
      { unit: "*" },
      { unit: "app" },
      { unit: "app.service bystander.service" },
      { unit: "app.service\nbystander.service" },
      { unit: "app.service\n" },
      { unit: "--force.service" },
      { unit: "-H root@elsewhere.service" },
      { unit: "../app.service" },
      { unit: "$(reboot).service" },
      { unit: "`id`.service" },
      { unit: "a;reboot.service" },
      { unit: "app*.service" },
      { unit: "app.service", mode: "isolate" },
      { unit: ["app.service"] },
      { unit: `${"a".repeat(300)}.service` },
    ],
    healthy: () => ({ action: restart(), target: ward.target }),
    at: (port) => ({ action: systemdRestart(busAt(port)), target: ward.target }),
    arrange: async () => void (await running("app.service")),
    state: async () => [
      await ward.systemd.show("app.service", "InvocationID"),
      await ward.systemd.show("app.service", "ActiveState"),
    ],
  });

  test("restarts exactly the unit that was planned, and says what came of it", async () => {
    const before = await running("app.service");
    const bystander = await running("bystander.service");
    const result = await plan("app.service");
    const pid = await ward.systemd.show("app.service", "MainPID");
    expect(result).toMatchObject({
      plan: { unit: "app.service", invocationId: before },
      effects: [expect.stringMatching(`^restart app\\.service \\(active \\(running\\) since \\S+Z, pid ${pid}\\)$`)],
    });
    const outcome = await apply("app.service");
    const after = await ward.systemd.show("app.service", "InvocationID");
    expect(outcome).toMatchObject({ status: "done", result: { restarted: true, invocationId: after } });
    expect(after).not.toBe(before);
    expect(await ward.systemd.show("bystander.service", "InvocationID")).toBe(bystander);
  });

  test("says that a stopped unit would be started", async () => {
    await ward.systemd.systemctl("stop", "app.service");
    expect(await plan("app.service")).toMatchObject({
      effects: ["start app.service, which somebody or something has stopped"],
    });
    expect(await apply("app.service")).toMatchObject({ status: "done" });
  });

  test.each([
    ["a unit that is not listed", "bystander.service", "does not list this unit"],
    ["a unit that is not there", "absent.service", "There is no unit absent.service"],
    ["a unit that does not stay up by its nature", "oneshot.service", "Type=oneshot"],
  ])("%s is refused", async (_what, unit, reason) => {
    const units = unit === "absent.service" ? [unit] : ward.target.systemd?.units;
    const refused = await plan(unit, ward.targetWith(units ? { units } : {}));
    expect(refused).toMatchObject({ status: "failed", retryable: false, reason: expect.stringContaining(reason) });
  });

  test("a target without units, and no target, are refused", async () => {
    expect(await plan("app.service", bareTarget)).toMatchObject({ retryable: false });
    const none = await restart().plan({ unit: "app.service" }, contextFor(null));
    expect(none).toMatchObject({ status: "failed", retryable: false });
  });

  test("a unit that was taken from the list after planning is left alone", async () => {
    const before = await running("app.service");
    const made = await planned("app.service");
    const outcome = await restart().apply(made, contextFor(ward.targetWith({ units: ["crasher.service"] })));
    expect(outcome).toMatchObject({ status: "failed", retryable: false });
    expect(await ward.systemd.show("app.service", "InvocationID")).toBe(before);
  });

  test("a program that is missing is no success, although systemd calls the restart done", async () => {
    const outcome = await apply("no-binary.service");
    expect(outcome).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("it was failed (failed, result exit-code, exit status 203)"),
    });
  });

  test("a unit that systemd was about to start once more, and that now stays up, is well", async () => {
    const show = (property: string) => ward.systemd.show("looping.service", property);
    await ward.systemd.systemctl("start", "looping.service");
    const waits = async () => (await show("NRestarts")) !== "0" && (await show("SubState")) === "auto-restart";
    await until(waits, { what: "systemd to have started it again" });
    await writeFile(ward.condition, "");
    expect(await apply("looping.service")).toMatchObject({ status: "done", result: { restarted: true } });
    await rm(ward.condition);
    await ward.systemd.systemctl("stop", "looping.service");
  }, 20_000);

  test("a stop that hangs is waited for", async () => {
    await running("slow-stop.service");
    const started = performance.now();
    expect(await apply("slow-stop.service")).toMatchObject({ status: "done" });
    expect(performance.now() - started).toBeGreaterThan(2_500);
  }, 20_000);

  test("stopping the step while systemd works leaves the outcome unknown, and the probe tells it later", async () => {
    await running("slow-stop.service");
    const made = await planned("slow-stop.service");
    const abort = new AbortController();
    const applied = restart().apply(made, contextFor(ward.target, abort.signal));
    await until(async () => (await ward.systemd.show("slow-stop.service", "ActiveState")) === "deactivating");
    abort.abort();
    expect(await applied).toMatchObject({ status: "unknown" });
    expect(await restart().probe?.(made, contextFor(ward.target))).toBe("applied");
  }, 20_000);

  test("the probe of a restart that was not asked for says so", async () => {
    await running("app.service");
    const made = await planned("app.service");
    expect(await restart().probe?.(made, contextFor(ward.target))).toBe("not-applied");
  });

  test("the probe of a unit that was restarted but did not stay up is unknown", async () => {
    await running("app.service");
    const made = await planned("app.service");
    await ward.systemd.systemctl("restart", "app.service");
    await ward.systemd.systemctl("stop", "app.service");
    expect(await restart().probe?.(made, contextFor(ward.target))).toBe("unknown");
  });

  test("the probe of a bus that stays away is unknown, and stops when asked to", async () => {
    const made = { unit: "app.service", invocationId: "" };
    const gone = systemdRestart(busAt(1));
    expect(await gone.probe?.(made, contextFor(ward.target, AbortSignal.timeout(700)))).toBe("unknown");
  });

  describe("the health path", () => {
    const withHealth = (healthPath: string): Target => ({
      ...ward.targetWith({ settleMs: 600 }),
      http: { baseUrl: `http://127.0.0.1:${ward.port}`, healthPath },
    });
    afterEach(async () => {
      await rm(`${ward.systemd.runUnits}/app.service.d`, { recursive: true, force: true });
      await ward.systemd.systemctl("daemon-reload");
    });

    test("that answers well is part of the result", async () => {
      await running("app.service");
      expect(await apply("app.service", withHealth("/health"))).toMatchObject({
        status: "done",
        result: { health: "/health answered 200" },
      });
    });

    test("that answers badly makes the restart a failure", async () => {
      await running("app.service");
      await ward.systemd.inside("mkdir", "-p", "/run/systemd/system/app.service.d");
      await writeFile(`${ward.systemd.runUnits}/app.service.d/sick.conf`, "[Service]\nEnvironment=MODE=sick\n");
      await ward.systemd.systemctl("daemon-reload");
      expect(await apply("app.service", withHealth("/health"))).toMatchObject({
        status: "failed",
        retryable: false,
        reason: expect.stringContaining("/health answered 503"),
      });
    });
  });

  describe("the unit's own start limit", () => {
    test("stops planning and applying before it takes the unit down, and says when it frees", async () => {
      await running("limited.service");
      const early = await planned("limited.service");
      expect(await apply("limited.service")).toMatchObject({ status: "done" });
      expect(await apply("limited.service")).toMatchObject({ status: "done" });
      const refused = {
        status: "failed",
        retryable: true,
        reason: expect.stringMatching(
          /^Restarting limited\.service now would reach its start limit and take it down: systemd allows it 3 starts within 1m \(StartLimitBurst\), and it has had 3\. Try again after \d\d:\d\d:\d\d UTC\.$/,
        ),
      };
      expect(await plan("limited.service")).toMatchObject(refused);
      const now = { ...early, invocationId: await ward.systemd.show("limited.service", "InvocationID") };
      expect(await restart().apply(now, contextFor(ward.target))).toMatchObject(refused);
      expect(await ward.systemd.show("limited.service", "ActiveState")).toBe("active");
      // What would have happened: the limit is real.
      await expect(ward.systemd.systemctl("restart", "limited.service")).rejects.toThrow();
      expect(await ward.systemd.show("limited.service", "ActiveState")).toBe("failed");
    });

    test("is respected where the journal does not tell how many starts there were", async () => {
      await ward.systemd.systemctl("reset-failed", "limited.service");
      await running("limited.service");
      const empty = `${ward.systemd.folder}/none`;
      expect(await plan("limited.service", ward.targetWith({ journal: empty }))).toMatchObject({
        status: "failed",
        retryable: true,
        reason: expect.stringContaining("the journal does not tell"),
      });
    });
  });
});
