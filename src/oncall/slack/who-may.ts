/** Says who may approve, as people of Slack know each other. Pure. */

import type { ApproverSet } from "../../domain/approver.ts";
import { isAllowed, type Role } from "../../domain/role.ts";
import { code } from "./escape.ts";
import type { WhoIsWho } from "./world.ts";

const mostNamed = 10;

/** A sentence in Slack's markup; mentions in it notify nobody where only one person sees it. `sets`: those that an approval asks for. */
export function whoMay(sets: readonly string[], people: WhoIsWho): string {
  if (sets.length === 0) {
    const named = listed([...mentions(withRole(people.users), withRole(people.groups))]);
    return named === "" ? "Nobody may do it in Slack: no approver is configured." : `These may: ${named}.`;
  }
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

function withRole(given: ReadonlyMap<string, Role>): readonly string[] {
  return [...given].filter(([, role]) => isAllowed(role, "approver")).map(([id]) => id);
}

function listed(names: readonly string[]): string {
  const more = names.length - mostNamed;
  return [...names.slice(0, mostNamed), ...(more > 0 ? [`${more} more`] : [])].join(", ");
}
