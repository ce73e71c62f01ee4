/** Who may approve: a role, and the sets of people that a playbook or a target asks for. Pure; who somebody is is looked up elsewhere. */

import type { ApprovalDemands } from "./approval-demands.ts";
import { isAllowed, type Role } from "./role.ts";

/** A set of people of the configuration, by its name under `approvers`. */
export interface ApproverSet {
  readonly name: string;
  /** Slack user ids. */
  readonly users: readonly string[];
  /** Slack user group ids. */
  readonly groups: readonly string[];
  /** Names of tokens of the REST API. */
  readonly tokens: readonly string[];
}

/** Somebody as a door has found them out. `who` is `api:<token>` or `slack:<user id>`, as histories name them. */
export interface Person {
  readonly who: string;
  /** Null: known to have none. */
  readonly role: Role | null;
  /** The Slack user groups they are in, of those that the configuration names. */
  readonly groups: readonly string[];
}

/**
 * Why this person may not approve what asks for all of `sets`, as the end of a sentence that begins with their name;
 * null: they may. A set that the configuration does not have lets nobody in.
 */
export function whyNotApprover(
  person: Person,
  sets: readonly string[],
  configured: ReadonlyMap<string, ApproverSet>,
): string | null {
  if (person.role === null || !isAllowed(person.role, "approver")) {
    return `has the role ${person.role ?? "none"}, and this needs approver`;
  }
  const missing = sets.find((name) => !isIn(person, configured.get(name)));
  return missing === undefined ? null : `is not among the approvers '${missing}'`;
}

function isIn(person: Person, set: ApproverSet | undefined): boolean {
  if (!set) return false;
  const [kind, id = ""] = split(person.who);
  const named = kind === "api" ? set.tokens : set.users;
  return named.includes(id) || set.groups.some((group) => person.groups.includes(group));
}

function split(who: string): readonly [string, string] {
  const colon = who.indexOf(":");
  return [who.slice(0, colon), who.slice(colon + 1)];
}

/** Every name by which histories know the person that one of them calls `who`; that one is among them. */
export type NamesOf = (who: string) => readonly string[];

/** A token of the REST API and the Slack user whose it is; null: it names nobody, and is a person of its own. */
export interface PersonalToken {
  readonly name: string;
  readonly slack: string | null;
}

/** People by both doors: a token that names its Slack user is that user. */
export function namesOfPeople(tokens: readonly PersonalToken[]): NamesOf {
  const personOf = new Map<string, string>(
    tokens.flatMap(({ name, slack }) => (slack === null ? [] : [[`api:${name}`, `slack:${slack}`] as const])),
  );
  return (who) => {
    const person = personOf.get(who) ?? who;
    return [person, ...[...personOf].filter(([, one]) => one === person).map(([token]) => token)];
  };
}

/** The set with the Slack users of its tokens and the tokens of its Slack users: whoever is in it is so by both doors. */
export function byBothDoors(set: ApproverSet, tokens: readonly PersonalToken[]): ApproverSet {
  const own = tokens.filter(({ name, slack }) => set.tokens.includes(name) && slack !== null);
  const users = [...new Set([...set.users, ...own.flatMap(({ slack }) => slack ?? [])])];
  const theirs = tokens.filter(({ slack }) => slack !== null && users.includes(slack)).map(({ name }) => name);
  return { ...set, users, tokens: [...new Set([...set.tokens, ...theirs])] };
}

/** What an approval must be: the strictest of the configuration's defaults, the playbook's demands and the target's. */
export function strictest(
  defaults: { readonly atLeast: number; readonly expireAfterMs: number },
  demands: readonly (ApprovalDemands | undefined)[],
): { readonly atLeast: number; readonly expireAfterMs: number; readonly approvers: readonly string[] } {
  const asked = demands.filter((one) => one !== undefined);
  return {
    atLeast: Math.max(defaults.atLeast, ...asked.map((one) => one.atLeast ?? 1)),
    expireAfterMs: Math.min(
      defaults.expireAfterMs,
      ...asked.map((one) => one.expireAfterMs ?? Number.POSITIVE_INFINITY),
    ),
    approvers: [...new Set(asked.flatMap((one) => (one.by === null ? [] : [one.by])))],
  };
}
