/** Who could approve at all: sets of approvers in which nobody may, and demands that nobody could meet. */

import { isAllowed, type Role, roles } from "../domain/role.ts";
import type { Finding } from "./problems.ts";
import { at, entries, list } from "./raw.ts";

/** Names that do not exist, tokens without the role, sets in which nobody may approve, more approvals than people. */
export function approverProblems(raw: unknown): readonly Finding[] {
  const sets = entries(at(raw, "approvers"));
  return [
    ...sets.flatMap(([name, set]) =>
      list(at(set, "tokens")).flatMap((token, index) => tokenProblem(raw, name, token, index)),
    ),
    ...sets.flatMap(([name, set]) => emptySetProblem(raw, name, set)),
    ...entries(at(raw, "targets")).flatMap(([name, target]) => demandProblems(raw, name, at(target, "approvals"))),
  ];
}

/** People of a set who may not approve, beside others who may. */
export function approverWarnings(raw: unknown): readonly Finding[] {
  return entries(at(raw, "approvers")).flatMap(([name, set]) =>
    (["users", "groups"] as const).flatMap((key) =>
      list(at(set, key)).flatMap((id, index) => {
        if (mayApproveInSlack(raw, key, id) || mayApproveByToken(raw, id)) return [];
        const message =
          at(raw, "slack") === undefined
            ? "can decide nothing without the section `slack`"
            : `has no role approver by slack.users or slack.groups, so what they decide does not count`;
        return [{ path: ["approvers", name, key, index], message }];
      }),
    ),
  );
}

/** Whether anybody at all may approve in Slack. */
export function anybodyInSlack(raw: unknown): boolean {
  return someone(raw, "users") || someone(raw, "groups");
}

function tokenProblem(raw: unknown, set: string, token: unknown, index: number): readonly Finding[] {
  const path = ["approvers", set, "tokens", index];
  const known = list(at(raw, "api", "tokens"));
  const found = known.find((one) => at(one, "name") === token);
  if (found === undefined) {
    const names = known.map((one) => at(one, "name")).filter((name) => typeof name === "string");
    const there = names.length === 0 ? "which has none" : `which has ${names.join(", ")}`;
    return [{ path, message: `is not the name of a token of api.tokens, ${there}` }];
  }
  const role = at(found, "role");
  // A role that does not exist is told where it stands.
  if (!isRole(role) || isAllowed(role, "approver")) return [];
  return [{ path, message: `the token has the role ${role}, and approving needs approver` }];
}

function emptySetProblem(raw: unknown, name: string, set: unknown): readonly Finding[] {
  const users = list(at(set, "users"));
  const groups = list(at(set, "groups"));
  if (list(at(set, "tokens")).length > 0 || users.length + groups.length === 0) return [];
  if (users.some((id) => mayApproveInSlack(raw, "users", id) || mayApproveByToken(raw, id))) return [];
  if (groups.some((id) => mayApproveInSlack(raw, "groups", id))) return [];
  const message =
    "nobody in this set may approve: give them the role approver in slack.users or slack.groups, or name a token";
  return [{ path: ["approvers", name], message }];
}

function demandProblems(raw: unknown, target: string, demands: unknown): readonly Finding[] {
  const by = at(demands, "by");
  if (typeof by !== "string") return [];
  const path = ["targets", target, "approvals", "by"];
  const set = at(raw, "approvers", by);
  if (set === undefined) {
    const names = entries(at(raw, "approvers")).map(([name]) => name);
    const there = names.length === 0 ? "has none" : `has ${names.join(", ")}`;
    return [{ path, message: `there is no set of approvers '${by}'; the section approvers ${there}` }];
  }
  const needed = Math.max(
    ...[at(demands, "atLeast"), at(raw, "approvals", "atLeast"), 1].filter((n) => typeof n === "number"),
  );
  const tokens = list(at(raw, "api", "tokens"));
  const personOf = (name: unknown) =>
    at(
      tokens.find((one) => at(one, "name") === name),
      "slack",
    ) ?? `token ${name}`;
  const people = new Set([...list(at(set, "users")), ...list(at(set, "tokens")).map(personOf)]).size;
  if (list(at(set, "groups")).length > 0 || people >= needed) return [];
  return [{ path, message: `${needed} people must approve, and '${by}' has only ${people}` }];
}

/** A user may have the role by a group, and the member of a group by themselves. */
function mayApproveInSlack(raw: unknown, key: "users" | "groups", id: unknown): boolean {
  if (typeof id === "string" && mayApprove(at(raw, "slack", key, id))) return true;
  return someone(raw, "groups") || (key === "groups" && someone(raw, "users"));
}

function mayApproveByToken(raw: unknown, user: unknown): boolean {
  return list(at(raw, "api", "tokens")).some((token) => at(token, "slack") === user && mayApprove(at(token, "role")));
}

function someone(raw: unknown, key: "users" | "groups"): boolean {
  return entries(at(raw, "slack", key)).some(([, role]) => mayApprove(role));
}

function mayApprove(role: unknown): boolean {
  return isRole(role) && isAllowed(role, "approver");
}

function isRole(value: unknown): value is Role {
  return roles.includes(value as Role);
}
