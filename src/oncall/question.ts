/** The questions that a run has asked of people, folded from its history: what was asked, who answered, how it stands. */

import type { AskReason } from "../domain/event.ts";
import type { Message, Subject } from "./way.ts";

export interface Answer {
  readonly by: string;
  readonly at: string;
  readonly decision: "approve" | "decline";
  readonly reason: string | null;
}

export interface Question {
  readonly step: string;
  readonly approval: string;
  readonly digest: string;
  readonly effects: readonly string[];
  readonly reasons: readonly AskReason[];
  readonly expiresAt: string;
  readonly atLeast: number;
  /** The sets of people that each approver must be in. */
  readonly approvers: readonly string[];
  readonly answers: readonly Answer[];
  /** `withdrawn`: it is not asked any more, or does not count any more. */
  readonly state: "pending" | "approved" | "declined" | "expired" | "withdrawn";
  /** When it was decided or closed, and why; null while it waits. */
  readonly closed: { readonly at: string; readonly reason: string | null } | null;
}

/** The run's last question; null: it has asked none. One that still waits when the run has ended is withdrawn. */
export function lastQuestion({ story }: Pick<Subject, "story">): Question | null {
  let last: Question | null = null;
  for (const event of story) {
    if (event.type === "approval-requested") {
      const { step, approval, digest, effects, reasons, expiresAt, atLeast, approvers = [] } = event;
      last = {
        step,
        approval,
        digest,
        effects,
        reasons,
        expiresAt,
        atLeast,
        approvers,
        answers: [],
        state: "pending",
        closed: null,
      };
      continue;
    }
    if (last === null) continue;
    if (event.type === "ended" && last.state === "pending") last = closed(last, "withdrawn", event.at, event.reason);
    if (!("approval" in event) || event.approval !== last.approval) continue;
    if (event.type === "approval-answered") {
      const { by, at, decision, reason, state } = event;
      last = { ...last, state, answers: [...last.answers, { by, at, decision, reason }] };
      if (state !== "pending") last = { ...last, closed: { at, reason } };
    }
    if (event.type === "approval-expired") last = closed(last, "expired", event.at, null);
    if (event.type === "approval-voided") last = closed(last, "withdrawn", event.at, event.reason);
    if (event.type === "approvers-checked" && !event.allowed) last = closed(last, "withdrawn", event.at, event.reason);
  }
  return last;
}

function closed(question: Question, state: "expired" | "withdrawn", at: string, reason: string | null): Question {
  return { ...question, state, closed: { at, reason } };
}

/** Whether the question that a message of the topic `approval-unasked` is about still waits for an answer. */
export function isStillAsked({ about }: Pick<Message, "about">, { story }: Pick<Subject, "story">): boolean {
  const open = openQuestionOf(story);
  return open !== null && (about === "" || about === open.approval);
}

/** The question that waits for an answer at this moment; null: none does. */
export function openQuestionOf(story: Subject["story"]): Question | null {
  const last = lastQuestion({ story });
  return last?.state === "pending" ? last : null;
}
