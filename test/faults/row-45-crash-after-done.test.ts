/** Row 45: a unit that crashes two seconds after systemd called its restart done is no success, is handed over, and is not restarted again. */

import { systemdRestart } from "../../src/actions/systemd/restart.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { alertOf, createSpine } from "../support/spine.ts";
import { systemdService } from "../support/systemd.ts";
import { serviceUnit } from "../support/systemd-units.ts";

const playbook = (unit: string) =>
  [
    `name: restart-${unit.replace(".service", "")}`,
    "summary: Restart the unit.",
    `on: { alerts: ['alertname="Sick"'] }`,
    "target: { label: service }",
    "steps:",
    `  - { id: restart, do: systemd.restart, with: { unit: ${unit} }, approval: never }`,
    "escalate: ward",
  ].join("\n");

systemdService.describe("a unit that crashes after its restart is done", () => {
  let ward: UnitWard;
  const undo = cleaningUp();

  beforeAll(async () => {
    ward = await createUnitWard();
    await ward.systemd.install({
      "flapping.service": serviceUnit('/bin/sh -c "sleep 2; exit 1"', ["Restart=always", "RestartSec=100ms"]),
    });
  });
  afterAll(() => ward?.systemd.down());

  test.each([
    ["and stays down", "crasher.service", 1, /did not stay well: it was failed .*exit status 1\) 2\.\d s after it/],
    ["and is restarted by systemd", "flapping.service", null, /did not stay well: it .* 2\.\d s after it/],
  ] as const)("%s: the run fails, is handed over and restarts nothing again", async (_what, unit, starts, reason) => {
    const action = systemdRestart(ward.settings);
    const target = {
      ...ward.targetWith({ units: [unit], settleMs: 4_000 }),
      name: "ward",
      labels: { service: ["ward"] },
    };
    const spine = await createSpine({
      actions: new Map([[action.name, action]]),
      targets: [target],
      playbooks: [playbook(unit)],
    });
    undo(() => spine.close());

    const run = await spine.start(alertOf());
    const ended = await spine.settle(run);

    expect(ended).toMatchObject({ outcome: "failed" });
    const events = await spine.events(run);
    expect(events.filter(({ type }) => type === "step-started")).toHaveLength(1);
    expect(events.find(({ type }) => type === "step-failed")).toMatchObject({
      retryable: false,
      reason: expect.stringMatching(reason),
    });
    expect(events.some(({ type }) => type === "escalated")).toBe(true);
    if (starts !== null) expect(await ward.starts(unit)).toBe(starts);
  });
});
