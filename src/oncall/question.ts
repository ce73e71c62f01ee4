/** What a run asks people at this moment, read from its history. */

import type { RunEvent } from "../domain/event.ts";

/** A change that waits for approval. */
export type Question = Extract<RunEvent, { readonly type: "approval-requested" }>;

/** The question that nobody has finally answered, that has not expired and was not withdrawn; null: there is none. */
export function openQuestionOf(story: readonly RunEvent[]): Question | null {
  let open: Question | null = null;
  for (const event of story) {
    if (event.type === "approval-requested") open = event;
    if (event.type === "ended") open = null;
    if (open && isClosedBy(open, event)) open = null;
  }
  return open;
}

function isClosedBy(question: Question, event: RunEvent): boolean {
  if (event.type === "approval-answered") return event.approval === question.approval && event.state !== "pending";
  return (
    (event.type === "approval-expired" || event.type === "approval-voided") && event.approval === question.approval
  );
}
