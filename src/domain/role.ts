/** What a token or a Slack user may do: four roles, each of which may do what the ones before it may. */

export type Role = "viewer" | "operator" | "approver" | "admin";

/** From the least to the most. */
export const roles: readonly Role[] = ["viewer", "operator", "approver", "admin"];

/** Whether somebody with the role `has` may do what needs the role `needed`. */
export function isAllowed(has: Role, needed: Role): boolean {
  return roles.indexOf(has) >= roles.indexOf(needed);
}
