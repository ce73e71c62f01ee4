import { runView } from "../../src/api/run-view.ts";
import type { RunRow } from "../../src/api/world.ts";
import type { Happening, RunEvent } from "../../src/domain/event.ts";

const row: RunRow = {
  id: "1",
  playbook: "p",
  playbookHash: "sha256:p",
  target: "t",
  trigger: "alert",
  requestedBy: null,
  episodeId: "e",
  dryRun: false,
  state: "running",
  waitingFor: null,
  outcome: null,
  dueAt: null,
  createdAt: "2026-01-01T00:00:00.000Z",
  endedAt: null,
};

const steps = [
  { id: "look", do: "ward.look" },
  { id: "heal", do: "ward.heal" },
];

const created: Happening = {
  type: "created",
  playbook: "p",
  playbookHash: "sha256:p",
  target: "t",
  trigger: {
    kind: "alert",
    source: "alertmanager",
    fingerprint: "f",
    startsAt: "2026-01-01T00:00:00.000Z",
    labels: {},
    annotations: {},
    partial: false,
  },
  inputs: { dose: 1 },
  dryRun: false,
};

function history(...happenings: Happening[]): RunEvent[] {
  return [created, ...happenings].map((happening, index) => ({
    seq: index + 1,
    at: "2026-01-01T00:00:00.000Z",
    ...happening,
  }));
}

const plannedOnce: Happening = {
  type: "step-planned",
  step: "heal",
  digest: "sha256:d",
  plan: 1,
  effects: ["one"],
  durationMs: 1,
};
const failed: Happening = { type: "step-failed", step: "heal", during: "apply", reason: "no bed", retryable: true };

test("steps that are not reached yet are pending", () => {
  const view = runView(row, history(), [], steps);
  expect(view.steps.map(({ id, action, state }) => [id, action, state])).toEqual([
    ["look", "ward.look", "pending"],
    ["heal", "ward.heal", "pending"],
  ]);
  expect(view.trigger).toEqual(created.trigger);
  expect(view.inputs).toEqual({ dose: 1 });
});

test("a step says why it was skipped or failed, and what it was to do", () => {
  const skipped: Happening = { type: "step-skipped", step: "look", condition: "false" };
  expect(runView(row, history(skipped, plannedOnce, failed), [], steps).steps).toEqual([
    expect.objectContaining({ state: "skipped", reason: "the condition does not hold: false" }),
    expect.objectContaining({ state: "failed", reason: "no bed", digest: "sha256:d", effects: ["one"] }),
  ]);
});

test("a step that went well in the end shows its result and not what it stumbled over", () => {
  const finished: Happening = { type: "step-finished", step: "heal", result: { healed: 1 }, durationMs: 1 };
  const { steps: shown } = runView(row, history(plannedOnce, failed, plannedOnce, finished), [], steps);
  expect(shown[1]).toMatchObject({ state: "done", reason: null, result: { healed: 1 } });
});

test("without the playbook's text only the steps of the history are shown", () => {
  expect(runView(row, history(plannedOnce), [], null).steps).toEqual([
    expect.objectContaining({ id: "heal", action: null, state: "planned" }),
  ]);
});

test("a run of an alert names no requester", () => {
  expect(runView(row, [], [], steps).trigger).toEqual({ kind: "alert" });
});
