/** Row 36: a run goes on only with the text of the playbook it started with, whatever the workers have loaded since. */

import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard } from "../support/ward.ts";

jest.setTimeout(60_000);
cleaningUp();

const version = (step: string) =>
  [
    "name: heal",
    "summary: Heal the patient.",
    `on: { alerts: ['alertname="sick"'] }`,
    "target: { label: service }",
    "steps:",
    `  - { id: ${step}, do: ward.heal }`,
    "verify:",
    "  - { do: ward.look, expect: '!output.sick', within: 2s, every: 1s }",
  ].join("\n");

/** What a worker has that knows none of the ward's actions. */
const other = [
  "name: other",
  "summary: Look at a database.",
  `on: { alerts: ['alertname="other"'] }`,
  "target: { label: service }",
  "steps:",
  "  - { id: look, do: postgres.activity }",
].join("\n");

test("old text on a new worker runs as the old text; a worker without its actions leaves the run alone", async () => {
  const ward = await createWard();
  const shared = { databaseUrl: (await sharedPostgres()).url, targets: ward.targets(2) };
  const old = await startService({
    ...shared,
    program: "counting",
    role: "receiver",
    playbooks: [version("old_step")],
  });
  const first = await old.fire({ alertname: "sick", service: "w1" });

  const stranger = await startService({ ...shared, program: "paramedic", role: "worker", playbooks: [other] });
  await until(() => stranger.child.output().includes("cannot carry out the playbook text"), {
    what: "the worker without the actions to find the run",
  });
  expect(await old.run(first)).toMatchObject({ outcome: null });
  expect(await ward.applies()).toEqual([]);

  const fresh = await startService({ ...shared, program: "counting", playbooks: [version("new_step")] });
  const second = await fresh.fire({ alertname: "sick", service: "w2" });
  const runs = [await fresh.ended(first), await fresh.ended(second)];
  expect(runs.map(({ outcome }) => outcome)).toEqual(["fixed", "fixed"]);
  expect(runs.map(({ steps }) => steps.map(({ id }) => id))).toEqual([["old_step"], ["new_step"]]);
  expect(runs[0]?.playbookHash).not.toBe(runs[1]?.playbookHash);
  expect(runs[0]?.events.some((event) => "step" in event && event.step === "new_step")).toBe(false);
  expect(await ward.effects()).toHaveLength(2);
});
