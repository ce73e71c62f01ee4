/** An approval: the plan that people were asked about, what they answered, and how it stands. */

import type { AskReason } from "./event.ts";

export type ApprovalState = "pending" | "approved" | "declined" | "expired" | "voided";

export interface ApprovalDecision {
  readonly decision: "approve" | "decline";
  readonly by: string;
  readonly reason: string | null;
  readonly at: string;
}

/** A change that waits for people, or waited. */
export interface Approval {
  readonly id: string;
  readonly runId: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly step: string;
  readonly digest: string;
  readonly effects: readonly string[];
  readonly reasons: readonly AskReason[];
  readonly state: ApprovalState;
  /** How many different people must approve. */
  readonly atLeast: number;
  /** The sets of the configuration's `approvers` that each of them must be in. */
  readonly approvers: readonly string[];
  readonly requestedBy: string | null;
  readonly requestedAt: string;
  readonly expiresAt: string;
  readonly decidedAt: string | null;
  readonly decisions: readonly ApprovalDecision[];
}

/** What somebody says about an approval. */
export interface Answer {
  readonly approval: string;
  readonly decision: "approve" | "decline";
  /** The digest of the plan that the person saw. */
  readonly digest: string;
  /** Who, as the door knows them: `api:oncall-cli`. */
  readonly by: string;
  readonly reason: string | null;
}

/** `approval` is as it stands after the answer, or as it stood when the answer was refused. */
export type Answered =
  | { readonly kind: "answered"; readonly approval: Approval }
  | { readonly kind: RefusedAnswer; readonly approval: Approval }
  | { readonly kind: "not-found" };

/** Why an answer does not count. */
export type RefusedAnswer = "already-decided" | "expired" | "digest-changed" | "own-request" | "answered-before";

/** The same for a run's history, as the end of a sentence that begins with the person's name. */
export function whyNotCounted(kind: RefusedAnswer): string {
  const reasons: Readonly<Record<RefusedAnswer, string>> = {
    "own-request": "requested the run",
    expired: "came after the time to decide",
    "digest-changed": "decided about a plan that is not the one that waits",
    "answered-before": "has approved it before",
    "already-decided": "came after it was decided",
  };
  return reasons[kind];
}
