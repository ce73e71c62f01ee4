/** Whether Paramedic's role at a target can see, and where needed cancel, the sessions that the target allows. */

import type { Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import type { Query } from "./connect.ts";

const oldestVersion = 140_000;

interface Rights {
  readonly role: string;
  readonly version: number;
  readonly users: number;
  readonly databases: number;
  readonly sees: boolean;
  readonly signals: boolean;
}

/**
 * The Failure that says what is missing, or null. Without `pg_read_all_stats` the columns of other roles' sessions are
 * NULL, so that an overloaded database would look idle; that must be an error and not an answer.
 */
export async function missingRights(
  query: Query,
  postgres: PostgresTarget,
  need: "see" | "cancel",
): Promise<Failure | null> {
  const [rights] = await query<Rights>(
    `SELECT current_user::text AS role,
            current_setting('server_version_num')::int AS version,
            (SELECT count(*)::int FROM pg_roles WHERE rolname::text = ANY($1::text[])) AS users,
            (SELECT count(*)::int FROM pg_database WHERE datname::text = ANY($2::text[])) AS databases,
            pg_has_role('pg_read_all_stats', 'USAGE') OR NOT EXISTS (
              SELECT FROM pg_roles WHERE rolname::text = ANY($1::text[]) AND NOT pg_has_role(oid, 'USAGE')) AS sees,
            pg_has_role('pg_signal_backend', 'USAGE') OR NOT EXISTS (
              SELECT FROM pg_roles WHERE rolname::text = ANY($1::text[]) AND NOT pg_has_role(oid, 'USAGE')) AS signals`,
    [postgres.users, postgres.databases],
  );
  if (!rights) throw new Error("The statement that reads the role's rights returned no row.");
  if (rights.version < oldestVersion) {
    return lasting(`The server's version number is ${rights.version}; PostgreSQL 14 or newer is needed.`);
  }
  if (rights.users === 0) {
    return lasting(
      `None of the allowed users (${postgres.users.join(", ")}) exists in the server. Correct postgres.users.`,
    );
  }
  if (rights.databases === 0) {
    const names = postgres.databases.join(", ");
    return lasting(`None of the allowed databases (${names}) exists in the server. Correct postgres.databases.`);
  }
  if (!rights.sees) {
    return lasting(
      `The role ${rights.role} cannot see the sessions of other roles. Run: GRANT pg_read_all_stats TO "${rights.role}"`,
    );
  }
  if (need === "cancel" && !rights.signals) {
    return lasting(
      `The role ${rights.role} may not cancel queries of other roles. Run: GRANT pg_signal_backend TO "${rights.role}"`,
    );
  }
  return null;
}
