/** Says who may approve, as people of Slack know each other. Pure. */

import type { ApproverSet } from "../../domain/approver.ts";
import { isAllowed, type Role } from "../../domain/role.ts";
import { code } from "./escape.ts";
import type { WhoIsWho } from "./world.ts";

const mostNamed = 10;

/** Who has at least this role: a sentence in Slack's markup; mentions in it notify nobody where only one person sees it. */
export function whoHas(role: Role, people: WhoIsWho): string {
  const named = listed([...mentions(withRole(role, people.users), withRole(role, people.groups))]);
  return named === "" ? `Nobody may do it in Slack: no ${role} is configured.` : `These may: ${named}.`;
}

/** The same of who may approve. `sets`: those that an approval asks for. */
export function whoMay(sets: readonly string[], people: WhoIsWho): string {
  if (sets.length === 0) return whoHas("approver", people);
  const each = sets.map((name) => `${code(name)} (${membersOf(people.approvers.get(name))})`);
  return `It takes an approver who is in ${each.join(" and in ")}.`;
}

function membersOf(set: ApproverSet | undefined): string {
  if (!set) return "which is not configured, so nobody is in it";
  const tokens = set.tokens.map((token) => `the API token ${code(token)}`);
  return listed([...mentions(set.users, set.groups), ...tokens]);
}

function mentions(users: readonly string[], groups: readonly string[]): readonly string[] {
  return [...users.map((id) => `<@${id}>`), ...groups.map((id) => `<!subteam^${id}>`)];
}

function withRole(needed: Role, given: ReadonlyMap<string, Role>): readonly string[] {
  return [...given].filter(([, role]) => isAllowed(role, needed)).map(([id]) => id);
}

function listed(names: readonly string[]): string {
  const more = names.length - mostNamed;
  return [...names.slice(0, mostNamed), ...(more > 0 ? [`${more} more`] : [])].join(", ");
}
