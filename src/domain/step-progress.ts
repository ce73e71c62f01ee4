/** How far one step has come: the fold of its own events. */

import type { AskReason, BudgetUse, RunEvent } from "./event.ts";
import type { Json } from "./json.ts";

/** Where a step stands. `in-doubt`: its effect was intended and it is not known whether it happened. */
export type StepState =
  | "pending"
  | "skipped"
  | "observed"
  | "planned"
  | "waiting-for-approval"
  | "approved"
  | "declined"
  | "expired"
  | "started"
  | "in-doubt"
  | "done"
  | "nothing-to-do"
  | "failed";

export interface ApprovalProgress {
  readonly id: string;
  readonly digest: string;
  readonly requestedAt: string;
  readonly expiresAt: string;
  /** When it was approved or declined; null: not yet. */
  readonly decidedAt: string | null;
  readonly state: "pending" | "approved" | "declined" | "expired" | "voided";
  readonly by: readonly string[];
  readonly reason: string | null;
}

export interface StepProgress {
  readonly state: StepState;
  /** What an observation returned or an apply reported; null before. */
  readonly result: Json;
  readonly plan: Json;
  readonly digest: string | null;
  readonly effects: readonly string[];
  readonly approval: ApprovalProgress | null;
  /** True once the plan was made again after the approval, as it must be before it is applied. */
  readonly plannedSinceApproval: boolean;
  /** When it was last planned; null: not yet. */
  readonly plannedAt: string | null;
  /** The last look at whether those who approved may still do so; null: none since they did. */
  readonly approvers: { readonly allowed: boolean; readonly reason: string | null; readonly at: string } | null;
  readonly rails: {
    readonly budget: readonly BudgetUse[];
    readonly coolDownUntil: string | null;
    readonly at: string;
  } | null;
  readonly asked: readonly AskReason[];
  /** All failures of the step, and the last of them if it has not succeeded at anything since. */
  readonly failures: number;
  readonly failure: { readonly reason: string; readonly retryable: boolean; readonly at: string } | null;
  /** How often the effect was left in doubt. */
  readonly doubts: number;
  /** What was started last, with its effects: what may have been changed. */
  readonly started: { readonly plan: Json; readonly effects: readonly string[] } | null;
  /** Whether what it changed is noted as a mitigation. */
  readonly mitigated: boolean;
  readonly probe: "applied" | "not-applied" | "unknown" | null;
  /** Why it is skipped, failed or in doubt. */
  readonly reason: string | null;
}

/** A step of which nothing has happened yet. */
export const untouched: StepProgress = {
  state: "pending",
  result: null,
  plan: null,
  digest: null,
  effects: [],
  approval: null,
  plannedSinceApproval: false,
  plannedAt: null,
  approvers: null,
  rails: null,
  asked: [],
  failures: 0,
  failure: null,
  doubts: 0,
  started: null,
  mitigated: false,
  probe: null,
  reason: null,
};

/** Whether nothing more is to be done for a step. */
export function isSettled(step: StepProgress): boolean {
  return (
    step.state === "skipped" || step.state === "observed" || step.state === "done" || step.state === "nothing-to-do"
  );
}

type StepEvent = Exclude<Extract<RunEvent, { readonly step: string }>, { readonly type: "announcing" }>;

/** The step after one more of its events. */
export function afterEvent(step: StepProgress, event: StepEvent): StepProgress {
  switch (event.type) {
    case "step-skipped":
      return { ...step, state: "skipped", reason: `the condition does not hold: ${event.condition}` };
    case "step-passed-over":
      return { ...step, state: "skipped", failures: 0, failure: null, reason: `not known: ${event.reason}` };
    case "step-observed":
      return { ...step, state: "observed", result: event.output, failures: 0, failure: null };
    case "step-planned":
      return planned(step, event);
    case "rails-checked":
      return { ...step, rails: { budget: event.budget, coolDownUntil: event.coolDownUntil, at: event.at } };
    case "approval-requested":
      return {
        ...step,
        state: "waiting-for-approval",
        asked: event.reasons,
        plannedSinceApproval: false,
        approvers: null,
        approval: {
          id: event.approval,
          digest: event.digest,
          requestedAt: event.at,
          expiresAt: event.expiresAt,
          decidedAt: null,
          state: "pending",
          by: [],
          reason: null,
        },
      };
    case "approval-answered":
      return answered(step, event);
    case "answer-refused":
      return step;
    case "approvers-checked":
      if (step.approval?.id !== event.approval) return step;
      return { ...step, approvers: { allowed: event.allowed, reason: event.reason, at: event.at } };
    case "approval-expired":
      return { ...closed(step, event.approval, "expired", "nobody decided in time"), state: "expired" };
    case "approval-voided":
      return { ...closed(step, event.approval, "voided", event.reason), state: "planned" };
    case "step-started":
      return { ...step, state: "started", probe: null, started: { plan: step.plan, effects: step.effects } };
    case "mitigation-began":
      return { ...step, mitigated: true };
    case "step-finished":
      return { ...step, state: "done", result: event.result, failures: 0, failure: null };
    case "step-failed":
      return {
        ...step,
        state: step.state === "in-doubt" ? "in-doubt" : "failed",
        failures: step.failures + 1,
        failure: { reason: event.reason, retryable: event.retryable, at: event.at },
        reason: event.reason,
      };
    case "step-in-doubt":
      return { ...step, state: "in-doubt", doubts: step.doubts + 1, reason: event.reason };
    case "step-probed":
      if (event.answer === "applied") return { ...step, state: "done", probe: "applied", result: null };
      return { ...step, probe: event.answer };
    default:
      // Of a newer version: whatever it did to the step, this version does not know what stands now.
      event satisfies never;
      return {
        ...step,
        state: "in-doubt",
        doubts: Number.POSITIVE_INFINITY,
        reason: "the history has an event of a newer version",
      };
  }
}

function planned(step: StepProgress, event: Extract<StepEvent, { type: "step-planned" }>): StepProgress {
  const approved = step.approval?.state === "approved";
  const base = {
    ...step,
    plan: event.plan,
    digest: event.digest,
    effects: event.effects,
    // The failures are still counted: an apply that fails after each plan must come to an end.
    failure: null,
    probe: null,
    plannedSinceApproval: approved,
    plannedAt: event.at,
  };
  if (event.effects.length === 0) return { ...base, state: "nothing-to-do" };
  return { ...base, state: approved ? "approved" : "planned" };
}

function answered(step: StepProgress, event: Extract<StepEvent, { type: "approval-answered" }>): StepProgress {
  if (step.approval?.id !== event.approval) return step;
  return {
    ...step,
    state: event.state === "pending" ? step.state : event.state,
    reason: event.decision === "decline" ? (event.reason ?? "declined") : step.reason,
    approval: {
      ...step.approval,
      state: event.state,
      decidedAt: event.state === "pending" ? null : event.at,
      by: [...step.approval.by, event.by],
      reason: event.reason ?? step.approval.reason,
    },
  };
}

function closed(step: StepProgress, approval: string, state: "expired" | "voided", reason: string): StepProgress {
  if (step.approval?.id !== approval) return step;
  return { ...step, reason, approval: { ...step.approval, state, reason } };
}
