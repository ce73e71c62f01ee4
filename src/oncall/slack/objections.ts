/** Why a click or a command of somebody does not count: they are from elsewhere, or they may not. */

import { whyNotApprover } from "../../domain/approver.ts";
import { isAllowed, type Role } from "../../domain/role.ts";
import type { Origin } from "./click.ts";
import { code, escaped, person } from "./escape.ts";
import { type OwnTeam, whyOutsider } from "./own-team.ts";
import type { Found } from "./people.ts";
import { whoHas, whoMay } from "./who-may.ts";
import type { SlackWorld, WhoIsWho } from "./world.ts";

export interface Objection {
  /** For the run's history: the end of a sentence that begins with the person's name. */
  readonly reason: string;
  /** For the person: whole sentences in Slack's markup. */
  readonly said: string;
}

const waitForTeamMs = 1_500;

/** Objects to people who are not from our workspace, and to everybody until Slack has said which one that is. */
export async function objectionToOrigin(ownTeam: OwnTeam, from: Origin): Promise<Objection | null> {
  const own = await ownTeam.known(waitForTeamMs);
  if (own === null) {
    return {
      reason: "cannot be told from somebody of another workspace until Slack confirms our token",
      said: `${notCounted} Slack has not yet confirmed to Paramedic which workspace it belongs to. Try again in a minute.`,
    };
  }
  const why = whyOutsider(from, own);
  if (why === null) return null;
  return { reason: why, said: `${notCounted} Only people of the workspace that Paramedic belongs to may do this.` };
}

/** Objects to people who may not approve what asks for all of `sets`. */
export function objectionToApprover(
  world: Pick<SlackWorld, "whoIsWho">,
  found: Found,
  sets: readonly string[],
): Objection | null {
  if (!found.ok) return unknownPerson(found, whoMay(sets, world.whoIsWho));
  const why = whyNotApprover(found.person, sets, world.whoIsWho.approvers);
  return why === null ? null : { reason: why, said: `${notCounted} ${asYou(why)}. ${whoMay(sets, world.whoIsWho)}` };
}

/** Objects to people whose role does not allow what needs `needed`. */
export function objectionToRole(found: Found, needed: Role, people: WhoIsWho): Objection | null {
  if (!found.ok) return unknownPerson(found, whoHas(needed, people));
  const { role } = found.person;
  if (role !== null && isAllowed(role, needed)) return null;
  const reason = `has the role ${role ?? "none"}, and this needs ${needed}`;
  const where = `An administrator gives roles under ${code("slack.users")} and ${code("slack.groups")}.`;
  return { reason, said: `${asYou(reason)}. ${whoHas(needed, people)} ${where}` };
}

/** Objects to whoever says second that they have what was handed over. */
export function objectionToSecond(has: string, by: string): Objection {
  if (has === by) return { reason: "has it already", said: "You have it already; later levels are not told." };
  return {
    reason: `came after ${has} had it`,
    said: `${person(has)} has it already; later levels are not told.`,
  };
}

export const notCounted = "This did not count.";

/** The way that works while Slack does not. */
export function orCommandLine(run: string): string {
  return `or decide in a terminal: ${code(`paramedic approve ${run}`)}, ${code(`paramedic decline ${run}`)}`;
}

function unknownPerson({ refused, reason }: Extract<Found, { readonly ok: false }>, whoElse: string): Objection {
  if (refused) return { reason, said: `${notCounted} Your user ${escaped(reason)}. ${whoElse}` };
  return {
    reason: "could not be looked up in Slack",
    said: `${notCounted} Slack could not be asked who you are. Try again, or use the command line. ${code(reason)}`,
  };
}

function asYou(why: string): string {
  return why
    .replace(/^has the role none, and this needs (\w+)$/, "You have no role here, and this needs $1")
    .replace(/^has the role (\w+), and this needs (\w+)$/, "Your role is $1, and this needs $2")
    .replace(
      /^is not among the approvers '(.*)'$/s,
      (_, set: string) => `You are not among the approvers ${code(set)}`,
    );
}
