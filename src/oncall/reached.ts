/** Of several recipients: what became of a telling in which some were refused for good. One dead mailbox spoils nothing for the others. */

import type { Delivered } from "./way.ts";

/** The answer for `rest`, where others have it already: that the whole rest is refused for good ends it, and those who have it were told. */
export function amongOthers(answer: Delivered, rest: readonly string[], others: readonly string[]): Delivered {
  if (answer.ok || !answer.refusesAll || others.length === 0) return answer;
  return { ok: true, refused: { who: rest, reason: answer.reason } };
}

/** Who was told of `to`, and what the history says of the others. */
export function toldOf(
  answer: Extract<Delivered, { ok: true }>,
  to: readonly string[],
): { readonly told: string; readonly refused?: string } {
  const { refused } = answer;
  if (!refused) return { told: to.join(", ") };
  const told = to.filter((one) => !refused.who.includes(one)).join(", ");
  return { told, refused: `not ${refused.who.join(", ")}: ${refused.reason}` };
}
