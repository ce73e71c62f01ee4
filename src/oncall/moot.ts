/** Whether something that nobody was told yet still has to be told: nobody is woken for what is over. */

import { isStillAsked } from "./question.ts";
import type { Message, Subject } from "./way.ts";

/** Why the message need not be told any more; null: it does, or it was told already and is only brought up to date. */
export function whyMoot(message: Message, subject: Subject): string | null {
  if (message.shownSeq > 0) return null;
  switch (message.topic) {
    case "handed-over":
    case "held":
    case "approval-unasked":
      if (subject.acknowledgedBy !== null) return `${subject.acknowledgedBy} has it`;
      if (subject.recovered) return "it is over";
      if (message.topic === "approval-unasked" && !isStillAsked(message, subject)) return "the approval is decided";
      return message.topic === "held" && subject.ended !== null ? "the run has ended" : null;
    case "notify":
    case "record":
    case "announcement":
    case "changes":
    case "report":
      return null;
    default:
      return message.topic satisfies never;
  }
}
