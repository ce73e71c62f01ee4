/** The events of a run's history: what happened, in the order in which it happened. Nothing else moves a run. */

import type { Labels } from "./alert.ts";
import type { Json } from "./json.ts";
import type { RevertOnEnd } from "./playbook.ts";
import type { ReportTo } from "./report.ts";
import type { EscalationTopic, Topic } from "./topic.ts";

/** What started a run. */
export type Trigger =
  | {
      readonly kind: "alert";
      readonly source: string;
      readonly fingerprint: string;
      readonly startsAt: string;
      readonly labels: Labels;
      readonly annotations: Labels;
      /** True where Alertmanager cut the notification (`max_alerts`): this is not the whole truth. */
      readonly partial: boolean;
    }
  /** `defaults`: the inputs that were not given, and are what the playbook said then; left out: none. */
  | {
      readonly kind: "request";
      readonly by: string;
      readonly reason: string;
      readonly defaults?: readonly string[];
    }
  | { readonly kind: "schedule"; readonly due: string }
  /** A mitigation is over: what the step `step` of the run `run` changed is put back. */
  | {
      readonly kind: "mitigation";
      readonly mitigation: string;
      readonly run: string;
      readonly step: string;
      readonly plan: Json;
      readonly effects: readonly string[];
      /** Why now: its time is over, its alert resolved, or somebody asked for it. */
      readonly reason: string;
      /** Who asked for it; null: nobody did. */
      readonly by: string | null;
      /** What the steps of that run had seen and reported, and its alert: the checks of the playbook may refer to them. */
      readonly outputs: Readonly<Record<string, Json>>;
      readonly labels: Labels;
      readonly annotations: Labels;
    };

export type Outcome =
  | "fixed"
  | "ineffective"
  | "nothing-to-do"
  | "declined"
  | "expired"
  | "cancelled"
  | "resolved"
  | "refused"
  | "failed"
  | "unknown";

/** Why a change waits for people. */
export type AskReason = "playbook-asks" | "risk-high" | "risk-irreversible" | "budget-spent";

/** One window of a budget, as counted before a change. */
export interface BudgetUse {
  readonly limit: number;
  readonly windowMs: number;
  readonly used: number;
}

/** What happened. `at`, RFC 3339 in UTC with milliseconds, and `seq`, from 1, are added when it is stored. */
export type Happening =
  | {
      readonly type: "created";
      readonly playbook: string;
      readonly playbookHash: string;
      readonly target: string | null;
      readonly trigger: Trigger;
      readonly inputs: Readonly<Record<string, Json>>;
      readonly dryRun: boolean;
    }
  /** A worker found the lease of another one expired and went on. */
  | { readonly type: "taken-over"; readonly worker: string; readonly fence: number }
  /** This worker cannot carry out the text that the run started with; another one may. */
  | { readonly type: "set-aside"; readonly worker: string }
  | { readonly type: "step-skipped"; readonly step: string; readonly condition: string }
  /** An optional observation could not be made; the run goes on without it. */
  | { readonly type: "step-passed-over"; readonly step: string; readonly reason: string }
  | {
      readonly type: "step-observed";
      readonly step: string;
      readonly output: Json;
      /** What it means, in the playbook's words for people; left out where the playbook has none. */
      readonly found?: string;
      readonly durationMs: number;
    }
  | {
      readonly type: "step-planned";
      readonly step: string;
      readonly digest: string;
      readonly plan: Json;
      readonly effects: readonly string[];
      readonly durationMs: number;
    }
  | {
      readonly type: "rails-checked";
      readonly step: string;
      readonly budget: readonly BudgetUse[];
      /** The end of the cool-down that is in force; null: none. */
      readonly coolDownUntil: string | null;
    }
  | {
      readonly type: "approval-requested";
      readonly step: string;
      readonly approval: string;
      readonly digest: string;
      readonly effects: readonly string[];
      readonly reasons: readonly AskReason[];
      readonly expiresAt: string;
      readonly atLeast: number;
      /** The sets of the configuration's `approvers` that each approver must be in; left out: the role alone decides. */
      readonly approvers?: readonly string[];
    }
  /** Somebody answered; `state` says what the approval is after that answer. */
  | {
      readonly type: "approval-answered";
      readonly step: string;
      readonly approval: string;
      readonly decision: "approve" | "decline";
      readonly by: string;
      readonly reason: string | null;
      readonly state: "pending" | "approved" | "declined";
    }
  | { readonly type: "approval-expired"; readonly step: string; readonly approval: string }
  | { readonly type: "approval-voided"; readonly step: string; readonly approval: string; readonly reason: string }
  /** Somebody who may not decide tried to. */
  | {
      readonly type: "answer-refused";
      readonly step: string;
      readonly approval: string;
      readonly by: string;
      readonly reason: string;
    }
  /** Whether those who approved may still do so, looked up again before the plan is applied. */
  | {
      readonly type: "approvers-checked";
      readonly step: string;
      readonly approval: string;
      readonly allowed: boolean;
      readonly reason: string | null;
    }
  /** The first change of the run is about to be announced at `places`; it is not applied before `notBefore`. */
  | {
      readonly type: "announcing";
      readonly step: string;
      readonly effects: readonly string[];
      readonly places: readonly string[];
      /** RFC 3339; now, or later by the lead time that the playbook asks for. */
      readonly notBefore: string;
    }
  /** The intent, committed before the effect. */
  | {
      readonly type: "step-started";
      readonly step: string;
      readonly digest: string;
      /** It only says something to people, which is no change. */
      readonly tells?: true;
    }
  | {
      readonly type: "step-finished";
      readonly step: string;
      readonly result: Json;
      readonly durationMs: number;
      /** The result is a `Report`, which these people are told. */
      readonly report?: ReportTo;
    }
  /** What the step changed is in force until it is put back, by itself at `revertAt` (null: not by time). */
  | {
      readonly type: "mitigation-began";
      readonly step: string;
      readonly mitigation: string;
      readonly action: string;
      readonly plan: Json;
      readonly effects: readonly string[];
      readonly revertAt: string | null;
      readonly onResolved: boolean;
      /** How its own run must end for it to end too; left out: that makes no difference. */
      readonly onEnd?: readonly RevertOnEnd[];
    }
  /** Of a run that puts a mitigation back: whether it did. Of the run that made it: that no run was needed, and why. */
  | {
      readonly type: "mitigation-ended";
      readonly mitigation: string;
      readonly reverted: boolean;
      readonly reason?: string;
    }
  /** Somebody has a mitigation of this run put back now, or keeps it for good. */
  | {
      readonly type: "mitigation-decided";
      readonly mitigation: string;
      readonly decision: "revert" | "keep";
      readonly by: string;
      readonly reason: string;
    }
  /** The next thing must be done on this host; a worker there goes on. */
  | { readonly type: "moved-to-host"; readonly host: string }
  /** A worker of the host, named here, has taken the run. */
  | { readonly type: "arrived-at-host"; readonly host: string; readonly worker: string }
  | {
      readonly type: "step-failed";
      readonly step: string;
      readonly during: "condition" | "observe" | "plan" | "apply" | "probe";
      readonly reason: string;
      readonly retryable: boolean;
    }
  /** The effect may or may not have happened. */
  | { readonly type: "step-in-doubt"; readonly step: string; readonly reason: string }
  | { readonly type: "step-probed"; readonly step: string; readonly answer: "applied" | "not-applied" | "unknown" }
  | {
      readonly type: "verification-checked";
      readonly check: number;
      readonly passed: boolean;
      readonly output: Json;
      /** As that of an observation. */
      readonly found?: string;
      readonly reason: string | null;
    }
  | { readonly type: "alert-resolved"; readonly endsAt: string | null }
  | { readonly type: "cancel-requested"; readonly by: string; readonly reason: string }
  /** An entry of the playbook's `notify`, from 0, was decided: `ways` are used to tell `contact`; none: nobody is told. */
  | {
      readonly type: "notifying";
      readonly entry: number;
      readonly contact: string;
      readonly ways: readonly string[];
      /** Why nobody is told; null where somebody is. */
      readonly reason: string | null;
    }
  /** People are told; `policy` is null where the playbook names none. `topic` left out: handed over. */
  | {
      readonly type: "escalated";
      readonly policy: string | null;
      readonly reason: string;
      readonly topic?: EscalationTopic;
    }
  | { readonly type: "ended"; readonly outcome: Outcome; readonly reason: string }
  /** Somebody was told; levels of an escalation count from 1. May come after the end, as all that follow. */
  | {
      readonly type: "told";
      readonly way: string;
      readonly level: number;
      readonly to: string;
      /** Left out: handed over. */
      readonly topic?: Topic;
      /** What exactly it is about: the approval that waits, the step that reports. Left out: the topic says it. */
      readonly about?: string;
      /** Who of those to be told could not be, and why. Left out: nobody. */
      readonly refused?: string;
    }
  /** Nobody could be told by this way, and nobody tries any more. */
  | {
      readonly type: "not-told";
      readonly way: string;
      readonly level: number;
      readonly reason: string;
      readonly topic?: Topic;
    }
  /** Somebody has it. */
  | { readonly type: "acknowledged"; readonly by: string }
  /** Somebody who may not have it tried to. */
  | { readonly type: "acknowledge-refused"; readonly by: string; readonly reason: string }
  /** The alert of a run that was handed over resolved; the playbook's checks were measured once more. */
  | { readonly type: "recovery-checked"; readonly passed: boolean; readonly reason: string | null }
  /** What was handed over is over: the alert resolved and the checks hold. */
  | { readonly type: "recovered"; readonly reason: string };

/** A happening with its time, not yet stored. */
export type DatedHappening = { readonly at: string } & Happening;

export type RunEvent = Happening & { readonly seq: number; readonly at: string };
