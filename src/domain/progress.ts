/** What a run's history says about how far it has come. A pure fold over the events; the basis of every decision and of what people are shown. */

import type { AskReason, BudgetUse, Outcome, RunEvent } from "./event.ts";
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

/** The last measurement of one of the playbook's checks. */
export interface CheckProgress {
  readonly passed: boolean;
  readonly at: string;
  readonly reason: string | null;
  /** How often in a row it has passed since any check last failed. 0 where it passed: what it said may no longer be so. */
  readonly held: number;
  readonly hasHeld: boolean;
}

export interface Progress {
  readonly steps: ReadonlyMap<string, StepProgress>;
  readonly checks: ReadonlyMap<number, CheckProgress>;
  /** When the last step was settled; verification counts its time from there. */
  readonly settledAt: string;
  /** When the alert resolved; null: it has not. */
  readonly resolvedAt: string | null;
  readonly cancel: { readonly by: string; readonly reason: string } | null;
  readonly ended: { readonly outcome: Outcome; readonly reason: string } | null;
  /** The announcement of the run's first change; null: none was made. */
  readonly announcement: {
    readonly at: string;
    readonly notBefore: string;
    /** The places that do not have it yet, and where it is still tried. */
    readonly open: ReadonlySet<string>;
  } | null;
  /** The entries of `notify` that were decided. */
  readonly notified: ReadonlySet<number>;
  /** Whether people were told by the escalation policy. */
  readonly escalated: boolean;
  /** Whether somebody was, or is being, called to it: by the escalation policy, or a contact by PagerDuty. */
  readonly paged: boolean;
  /** Since when the run has been left to the workers of a host and none of them has taken it; null: it is not. */
  readonly moved: { readonly host: string; readonly at: string } | null;
  /** How often another worker had to take the run over since a step was last settled. */
  readonly takeovers: number;
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

/** Folds a history into how far the run has come. */
export function progressOf(history: readonly RunEvent[]): Progress {
  const steps = new Map<string, StepProgress>();
  const checks = new Map<number, CheckProgress>();
  let settledAt = history[0]?.at ?? "";
  let resolvedAt: string | null = null;
  let cancel: Progress["cancel"] = null;
  let ended: Progress["ended"] = null;
  let announcement: Progress["announcement"] = null;
  const notified = new Set<number>();
  let escalated = false;
  let paged = false;
  let moved: Progress["moved"] = null;
  let takeovers = 0;

  for (const event of history) {
    if (event.type === "announcing") {
      announcement = { at: event.at, notBefore: event.notBefore, open: new Set(event.places) };
      continue;
    }
    if ("step" in event) {
      moved = null;
      const before = steps.get(event.step) ?? untouched;
      const after = advance(before, event);
      steps.set(event.step, after);
      if (isSettled(after) && !isSettled(before)) {
        settledAt = event.at;
        takeovers = 0;
      }
      continue;
    }
    switch (event.type) {
      case "taken-over": {
        takeovers += 1;
        moved = null;
        for (const [id, step] of steps) {
          if (step.state !== "started") continue;
          steps.set(id, {
            ...step,
            state: "in-doubt",
            doubts: step.doubts + 1,
            reason: "the worker stopped while it was applying",
          });
        }
        break;
      }
      case "moved-to-host":
        moved ??= { host: event.host, at: event.at };
        break;
      case "arrived-at-host":
        moved = null;
        break;
      case "mitigation-ended":
      case "mitigation-decided":
        break;
      case "verification-checked":
        moved = null;
        if (!event.passed) for (const [index, check] of checks) checks.set(index, { ...check, held: 0 });
        checks.set(event.check, measured(checks.get(event.check), event));
        break;
      case "alert-resolved":
        resolvedAt ??= event.at;
        break;
      case "cancel-requested":
        cancel ??= { by: event.by, reason: event.reason };
        break;
      case "ended":
        ended = { outcome: event.outcome, reason: event.reason };
        break;
      case "notifying":
        notified.add(event.entry);
        paged ||= event.ways.includes("pagerduty");
        break;
      case "escalated":
        escalated = true;
        paged = true;
        break;
      case "told":
      case "not-told":
        if (event.topic === "announcement" && announcement) {
          const open = new Set([...announcement.open].filter((place) => place !== event.way));
          announcement = { ...announcement, open };
        }
        break;
      case "created":
      case "set-aside":
      case "acknowledged":
      case "acknowledge-refused":
      case "recovery-checked":
      case "recovered":
        break;
      default:
        event satisfies never;
    }
  }
  return {
    steps,
    checks,
    settledAt,
    resolvedAt,
    cancel,
    ended,
    announcement,
    notified,
    escalated,
    paged,
    moved,
    takeovers,
  };
}

/** What the steps that are over have seen or reported, by their ids. */
export function outputsOf(progress: Progress): Readonly<Record<string, Json>> {
  const outputs: { [id: string]: Json } = Object.create(null);
  for (const [id, step] of progress.steps) {
    if (step.state === "observed" || step.state === "done") outputs[id] = step.result;
  }
  return outputs;
}

/** Whether nothing more is to be done for a step. */
export function isSettled(step: StepProgress): boolean {
  return (
    step.state === "skipped" || step.state === "observed" || step.state === "done" || step.state === "nothing-to-do"
  );
}

type StepEvent = Exclude<Extract<RunEvent, { readonly step: string }>, { readonly type: "announcing" }>;

function advance(step: StepProgress, event: StepEvent): StepProgress {
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

function measured(
  before: CheckProgress | undefined,
  { passed, at, reason, found }: Extract<RunEvent, { type: "verification-checked" }>,
): CheckProgress {
  return {
    passed,
    at,
    reason: reason ?? found ?? null,
    held: passed ? (before?.held ?? 0) + 1 : 0,
    hasHeld: passed || before?.hasHeld === true,
  };
}
