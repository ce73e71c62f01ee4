/** What became of somebody's answer to an approval, in sentences for that person. Pure. */

import type { Answered, Approval } from "../../domain/approval.ts";
import { code, moment, person } from "./escape.ts";
import { notCounted } from "./objections.ts";
import { whoMay } from "./who-may.ts";
import type { WhoIsWho } from "./world.ts";

type Refused = Exclude<Answered, { readonly kind: "answered" }>;

/** Why an answer was refused, in Slack's markup. */
export function tellRefused(answered: Refused, people: WhoIsWho): string {
  switch (answered.kind) {
    case "not-found":
      return `${notCounted} There is no such question any more.`;
    case "own-request":
      return `${notCounted} You requested this run, and somebody else must approve its changes. ${whoMay(answered.approval.approvers, people)}`;
    case "expired":
      return `${notCounted} The time to decide ended ${moment(answered.approval.expiresAt)}, and nothing was done. Start a new run if it is still needed.`;
    case "digest-changed":
      return `${notCounted} This is not the plan that waits any more. Look at what the message says now, and decide about that.`;
    case "answered-before":
      return `You have approved this already. ${stillNeeded(answered.approval, people)}`;
    case "already-decided":
      return tellDecided(answered.approval);
  }
}

/** Who decided, and when. */
export function tellDecided({ state, decisions, decidedAt }: Approval): string {
  const last = decisions.at(-1);
  if (state === "expired") return "The time to decide is over, and nothing was done.";
  if (state === "voided" || !last) {
    const when = decidedAt === null ? "" : ` ${moment(decidedAt)}`;
    return `This was withdrawn${when}: what would change is no longer what was asked, or is not needed any more.`;
  }
  const by = state === "approved" ? decisions.map((one) => person(one.by)).join(", ") : person(last.by);
  return `This is already decided: ${state} by ${by}, ${moment(last.at)}.`;
}

/** What is left to do after an answer that counts; null: nothing, and the message says so. */
export function tellCounted(approval: Approval, people: WhoIsWho): string | null {
  return approval.state === "pending" ? `Your approval counts. ${stillNeeded(approval, people)}` : null;
}

function stillNeeded({ atLeast, decisions, approvers }: Approval, people: WhoIsWho): string {
  const has = `${decisions.length} of ${atLeast} different people have approved`;
  return `${has}. ${whoMay(approvers, people)}`;
}

/** What was decided by a command, since its writer may not have the message before them. */
export function tellPlan(approval: Approval): readonly string[] {
  const where = approval.target === null ? "" : ` on ${code(approval.target)}`;
  return [
    `${code(approval.playbook)}${where}, run ${code(approval.runId)}, step ${code(approval.step)}, plan ${code(approval.digest.slice(0, 19))}:`,
    ...someEffects(approval.effects),
  ];
}

const mostEffects = 15;
const longestEffect = 160;

function someEffects(effects: readonly string[]): readonly string[] {
  const shown = effects.slice(0, mostEffects).map((line) => `• ${code(line.slice(0, longestEffect))}`);
  const more = effects.length - mostEffects;
  return more > 0 ? [...shown, `… and ${more} more effects`] : shown;
}
