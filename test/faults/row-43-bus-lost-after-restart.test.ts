/** Row 43: the bus is lost after RestartUnit. The outcome is unknown, then decided by the unit's InvocationID; never a second restart. */

import { type RestartPlan, systemdRestart } from "../../src/actions/systemd/restart.ts";
import { contextFor } from "../actions/context.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { alertOf, createSpine } from "../support/spine.ts";
import { systemdService } from "../support/systemd.ts";
import { type BusProxy, startBusProxy } from "../support/systemd-bus-proxy.ts";
import { until } from "../support/until.ts";

systemdService.describe("a bus that is lost", () => {
  let ward: UnitWard;
  let proxy: BusProxy;
  const undo = cleaningUp();

  beforeAll(async () => {
    ward = await createUnitWard();
    proxy = await startBusProxy(ward.systemd);
  });
  afterAll(async () => {
    await proxy?.close();
    await ward?.systemd.down();
  });

  const restart = () => systemdRestart({ systemBusAddress: proxy.busAddress });
  const planned = async (unit: string): Promise<RestartPlan> => {
    await ward.systemd.systemctl("start", unit);
    const plan = await restart().plan({ unit }, contextFor(ward.target));
    if (plan.status !== "planned") throw new Error(plan.reason);
    return plan.plan;
  };
  const probe = (plan: RestartPlan) => restart().probe?.(plan, contextFor(ward.target));

  test("right after the call was carried out: unknown, then found to have been restarted, once", async () => {
    const plan = await planned("app.service");
    const starts = await ward.starts("app.service");
    proxy.loseAt("RestartUnit", "after");
    expect(await restart().apply(plan, contextFor(ward.target))).toMatchObject({ status: "unknown" });
    expect(await probe(plan)).toBe("applied");
    expect(await ward.starts("app.service")).toBe(starts + 1);
  });

  test("before the call reached systemd: unknown, then found not to have been restarted", async () => {
    const plan = await planned("app.service");
    const starts = await ward.starts("app.service");
    proxy.loseAt("RestartUnit", "before");
    expect(await restart().apply(plan, contextFor(ward.target))).toMatchObject({ status: "unknown" });
    expect(await probe(plan)).toBe("not-applied");
    expect(await ward.starts("app.service")).toBe(starts);
  });

  test("before anything was asked for: a failure that may pass", async () => {
    const plan = await planned("app.service");
    proxy.loseAt("Subscribe", "before");
    expect(await restart().apply(plan, contextFor(ward.target))).toMatchObject({ status: "failed", retryable: true });
  });

  test("while systemd waits for a slow stop, by the death of the bus itself: unknown, then restarted", async () => {
    const plan = await planned("slow-stop.service");
    const starts = await ward.starts("slow-stop.service");
    const direct = systemdRestart(ward.settings);
    const applied = direct.apply(plan, contextFor(ward.target));
    await until(async () => (await ward.systemd.show("slow-stop.service", "ActiveState")) === "deactivating");
    await ward.systemd.systemctl("kill", "--signal=KILL", "dbus.service");
    expect(await applied).toMatchObject({ status: "unknown" });
    expect(await direct.probe?.(plan, contextFor(ward.target))).toBe("applied");
    expect(await ward.starts("slow-stop.service")).toBe(starts + 1);
  }, 30_000);

  test("in a run: the doubt is resolved by the probe, and the run goes on without a second restart", async () => {
    await ward.systemd.systemctl("start", "app.service");
    const starts = await ward.starts("app.service");
    const action = restart();
    const spine = await createSpine({
      actions: new Map([[action.name, action]]),
      targets: [{ ...ward.target, name: "ward", labels: { service: ["ward"] } }],
      playbooks: [
        [
          "name: restart-app",
          "summary: Restart the application.",
          `on: { alerts: ['alertname="Sick"'] }`,
          "target: { label: service }",
          "steps:",
          "  - { id: restart, do: systemd.restart, with: { unit: app.service }, approval: never }",
        ].join("\n"),
      ],
    });
    undo(() => spine.close());
    proxy.loseAt("RestartUnit", "after");
    const losses = proxy.losses;

    const run = await spine.start(alertOf());
    await spine.settle(run);

    const types = (await spine.events(run)).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(["step-started", "step-in-doubt", "step-probed", "ended"]));
    expect(types.filter((type) => type === "step-started")).toHaveLength(1);
    expect(proxy.losses).toBe(losses + 1);
    expect(await ward.starts("app.service")).toBe(starts + 1);
  }, 60_000);
});
