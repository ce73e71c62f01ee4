/** Finds out who a user of Slack is: their role and their user groups, and whether they still are somebody who may have one. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Person } from "../../domain/approver.ts";
import type { JsonObject } from "../../domain/json.ts";
import { isAllowed, type Role, roles } from "../../domain/role.ts";
import { oneLine } from "../one-line.ts";
import type { WebAnswer, WebCall } from "./web-call.ts";

/** Who somebody is, or why that is not known, or why they are nobody here. */
export type Found =
  | { readonly ok: true; readonly person: Person }
  | {
      readonly ok: false;
      /**
       * True: Slack says that this is nobody who may do anything, and `reason` is the end of a sentence that begins with
       * their name. False: it could not be found out, and `reason` is a sentence.
       */
      readonly refused: boolean;
      readonly reason: string;
      readonly retryable: boolean;
    };

export interface People {
  /**
   * `fresh`: everything is asked of Slack now, or is being asked, and what cannot be asked is not known. Otherwise groups may be as old as
   * the cache keeps them, and nobody is asked whether the user is deactivated. Never rejects.
   */
  find(user: string, how: { readonly fresh: boolean }, signal: AbortSignal): Promise<Found>;
}

type Unknown = Extract<Found, { readonly ok: false }>;
type Members = { readonly ok: true; readonly users: ReadonlySet<string> } | Unknown;
/** For how long Slack may want to be left alone before it is asked once more. */
const longestRetryAfterMs = 5_000;

type Membership = { readonly ok: true; readonly groups: readonly string[] } | Unknown;

/**
 * `users` and `groups` give roles by Slack's ids; `approverGroups` are the groups that sets of `approvers` name. Members
 * of groups are kept for `cacheMs`, since Slack takes about 20 calls a minute for them.
 */
export function createPeople(options: {
  readonly web: WebCall;
  readonly users: ReadonlyMap<string, Role>;
  readonly groups: ReadonlyMap<string, Role>;
  readonly approverGroups: readonly string[];
  readonly cacheMs: number;
}): People {
  const { web, users, groups, approverGroups, cacheMs } = options;
  const kept = new Map<string, { readonly askedAt: number; readonly users: ReadonlySet<string> }>();
  /** What Slack is being asked, by whose end it would end: those who click at one moment ask once. */
  const looks = new WeakMap<AbortSignal, Map<string, Promise<Members>>>();
  let ownTeam: OwnTeam | null = null;

  async function ask(method: string, args: JsonObject, signal: AbortSignal): Promise<WebAnswer> {
    const answer = await web(method, args, signal);
    if (answer.ok || answer.retryAfterMs === undefined || answer.retryAfterMs > longestRetryAfterMs) return answer;
    await sleep(answer.retryAfterMs, undefined, { signal }).catch(() => undefined);
    return web(method, args, signal);
  }

  async function membersOf(group: string, fresh: boolean, signal: AbortSignal): Promise<Members> {
    const before = kept.get(group);
    if (!fresh && before && performance.now() - before.askedAt < cacheMs) return { ok: true, users: before.users };
    const shared = looks.get(signal) ?? new Map<string, Promise<Members>>();
    looks.set(signal, shared);
    const look = shared.get(group) ?? askMembers(group, signal).finally(() => shared.delete(group));
    shared.set(group, look);
    return look;
  }

  async function askMembers(group: string, signal: AbortSignal): Promise<Members> {
    const askedAt = performance.now();
    const answer = await ask("usergroups.users.list", { usergroup: group }, signal);
    // A group that is gone has no members; it must not keep those of other groups from being found.
    const listed = !answer.ok && answer.error === "no_such_subteam" ? [] : answer.ok ? answer.response["users"] : null;
    if (!answer.ok && listed === null) return unknown(answer.reason, answer.retryable);
    if (!Array.isArray(listed)) return unknown("Slack's answer does not list the users of the group.", true);
    const members = new Set(listed.filter((one) => typeof one === "string"));
    if ((kept.get(group)?.askedAt ?? 0) <= askedAt) kept.set(group, { askedAt, users: members });
    return { ok: true, users: members };
  }

  /** Those of `asked` that the user is in. */
  async function among(
    asked: readonly string[],
    user: string,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Membership> {
    const found = await Promise.all(
      asked.map(async (group) => ({ group, members: await membersOf(group, fresh, signal) })),
    );
    const failed = found.find(({ members }) => !members.ok)?.members;
    if (failed && !failed.ok) return failed;
    return {
      ok: true,
      groups: found.filter(({ members }) => members.ok && members.users.has(user)).map(({ group }) => group),
    };
  }

  /** Null: nothing is against them. */
  async function whyNobody(user: string, signal: AbortSignal): Promise<Unknown | null> {
    const [info, own] = await Promise.all([ask("users.info", { user }, signal), teamOf(signal)]);
    if (!info.ok && (info.error === "user_not_found" || info.error === "user_not_visible")) {
      return refused("is nobody whom Slack knows");
    }
    if (!info.ok) return unknown(info.reason, info.retryable);
    const about = info.response["user"];
    if (!isObject(about)) return unknown("Slack's answer does not say who this is.", true);
    const nobody = objectionToUser(about);
    if (nobody !== null) return refused(nobody);
    if ("ok" in own) return own;
    const foreign = objectionToTeam(about, own);
    return foreign === null ? null : refused(foreign);
  }

  /** The workspace of our token, which does not change. */
  async function teamOf(signal: AbortSignal): Promise<OwnTeam | Unknown> {
    if (ownTeam !== null) return ownTeam;
    const answer = await ask("auth.test", {}, signal);
    if (!answer.ok) return unknown(answer.reason, answer.retryable);
    const { team_id: team, enterprise_id: enterprise } = answer.response;
    if (typeof team !== "string" || team === "") return unknown("Slack's answer names no workspace.", true);
    ownTeam = { team, enterprise: typeof enterprise === "string" && enterprise !== "" ? enterprise : null };
    return ownTeam;
  }

  /** The groups that may change what the user may do: those that give more than the configured role, then the sets'. */
  async function personOf(user: string, fresh: boolean, signal: AbortSignal): Promise<Found> {
    const own = users.get(user) ?? null;
    const raising = [...groups].filter(([, role]) => own === null || !isAllowed(own, role)).map(([group]) => group);
    const roleGroups = await among(raising, user, fresh, signal);
    if (!roleGroups.ok) return roleGroups;
    const role = highest([own, ...roleGroups.groups.map((group) => groups.get(group) ?? null)]);
    const left = [...new Set(approverGroups)].filter((group) => !raising.includes(group));
    const ofSets = role !== null && isAllowed(role, "approver") ? await among(left, user, fresh, signal) : noGroups;
    if (!ofSets.ok) return ofSets;
    const person = { who: `slack:${user}`, role, groups: [...roleGroups.groups, ...ofSets.groups] };
    return { ok: true, person };
  }

  return {
    find: async (user, { fresh }, signal) => {
      const [found, nobody] = await Promise.all([
        personOf(user, fresh, signal),
        fresh ? whyNobody(user, signal) : null,
      ]);
      return nobody ?? found;
    },
  };
}

interface OwnTeam {
  readonly team: string;
  readonly enterprise: string | null;
}

const noGroups: Membership = { ok: true, groups: [] };

/** https://docs.slack.dev/reference/objects/user-object */
function objectionToUser(about: JsonObject): string | null {
  if (about["deleted"] === true) return "is deactivated in Slack";
  if (about["is_bot"] === true) return "is a bot";
  if (about["is_restricted"] === true || about["is_ultra_restricted"] === true) return "is a guest of the workspace";
  return null;
}

/** The object's `is_stranger` is not set for people of other workspaces who share a channel with ours. */
function objectionToTeam(about: JsonObject, own: OwnTeam): string | null {
  const team = about["team_id"];
  const enterprise = isObject(about["enterprise_user"]) ? about["enterprise_user"]["enterprise_id"] : undefined;
  if (team === own.team || (own.enterprise !== null && [team, enterprise].includes(own.enterprise))) return null;
  return `is from another workspace (${oneLine(String(team), 80)})`;
}

function highest(given: readonly (Role | null)[]): Role | null {
  return given.reduce((most, one) => (roleRank(one) > roleRank(most) ? one : most), null);
}

function roleRank(role: Role | null): number {
  return role === null ? -1 : roles.indexOf(role);
}

function unknown(reason: string, retryable: boolean): Unknown {
  return { ok: false, refused: false, reason, retryable };
}

function refused(reason: string): Unknown {
  return { ok: false, refused: true, reason, retryable: false };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
