/** How a run looks over REST: a line of a list from its row, and the whole story from its history. Pure. */

import type { Approval } from "../domain/approval.ts";
import type { RunEvent, Trigger } from "../domain/event.ts";
import type { Json } from "../domain/json.ts";
import type { Step } from "../domain/playbook.ts";
import { progressOf } from "../domain/progress.ts";
import { type StepProgress, type StepState, untouched } from "../domain/step-progress.ts";
import type { RunRow } from "./world.ts";

/** A run in a list. */
export interface RunLine {
  readonly id: string;
  readonly playbook: string;
  readonly playbookHash: string;
  readonly target: string | null;
  /** What is known without the history; the whole trigger is in the run itself. */
  readonly trigger: { readonly kind: Trigger["kind"]; readonly by?: string };
  readonly episodeId: string | null;
  readonly dryRun: boolean;
  readonly state: RunRow["state"];
  readonly waitingFor: RunRow["waitingFor"];
  readonly outcome: string | null;
  /** When it is looked at next, while it waits. */
  readonly dueAt: string | null;
  readonly createdAt: string;
  readonly endedAt: string | null;
}

export interface StepView {
  readonly id: string;
  /** Null where the text of the playbook is not at hand. */
  readonly action: string | null;
  readonly state: StepState;
  readonly effects: readonly string[];
  readonly digest: string | null;
  readonly result: Json;
  /** Why it was skipped, failed, is in doubt, or was not approved. */
  readonly reason: string | null;
}

/** A run with its story. */
export interface RunView extends Omit<RunLine, "trigger"> {
  readonly trigger: Trigger | RunLine["trigger"];
  readonly inputs: Readonly<Record<string, Json>>;
  /** Why it ended as it did. */
  readonly reason: string | null;
  readonly steps: readonly StepView[];
  readonly approvals: readonly Approval[];
  readonly events: readonly RunEvent[];
  /** The first event that does not fit the chain of hashes, as when somebody edited it; null: the history is whole. */
  readonly brokenAt: number | null;
}

export function runLine(row: RunRow): RunLine {
  return {
    id: row.id,
    playbook: row.playbook,
    playbookHash: row.playbookHash,
    target: row.target,
    trigger: row.requestedBy === null ? { kind: row.trigger } : { kind: row.trigger, by: row.requestedBy },
    episodeId: row.episodeId,
    dryRun: row.dryRun,
    state: row.state,
    waitingFor: row.waitingFor,
    outcome: row.outcome,
    dueAt: row.dueAt,
    createdAt: row.createdAt,
    endedAt: row.endedAt,
  };
}

/** `steps` are those of the playbook text that the run started with; null: only those that something happened to show. */
export function runView(
  row: RunRow,
  events: readonly RunEvent[],
  approvals: readonly Approval[],
  steps: readonly Pick<Step, "id" | "do">[] | null,
  brokenAt: number | null = null,
): RunView {
  const progress = progressOf(events);
  const created = events[0]?.type === "created" ? events[0] : null;
  const trigger = created?.trigger;
  // A run that puts one step back has that step only.
  const mine = trigger?.kind === "mitigation" ? steps?.filter(({ id }) => id === trigger.step) : steps;
  const known = mine ?? [...progress.steps.keys()].map((id) => ({ id, do: null }));
  const line = runLine(row);
  return {
    ...line,
    trigger: created?.trigger ?? line.trigger,
    inputs: created?.inputs ?? {},
    reason: progress.ended?.reason ?? null,
    steps: known.map((step) => stepView(step.id, step.do, progress.steps.get(step.id) ?? untouched)),
    approvals,
    events,
    brokenAt,
  };
}

const explained: ReadonlySet<StepState> = new Set([
  "skipped",
  "planned",
  "waiting-for-approval",
  "declined",
  "expired",
  "in-doubt",
  "failed",
]);

function stepView(id: string, action: string | null, at: StepProgress): StepView {
  return {
    id,
    action,
    state: at.state,
    effects: at.effects,
    digest: at.digest,
    result: at.result,
    // A step that went well in the end does not show what it stumbled over before: the events do.
    reason: explained.has(at.state) ? at.reason : null,
  };
}
