/** What Paramedic may look at and maintain in a target's database: its configured schemas, looked up in the catalogue. */

import { z } from "zod";
import type { Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import type { Query } from "./connect.ts";
import { shorten } from "./query-text.ts";

const oldestVersion = 140_000;

/** A name of something in the catalogue; it is only ever compared there. */
export const catalogueName = z
  .string()
  .min(1)
  .max(63)
  .refine((value) => !value.includes("\0") && value.isWellFormed(), { error: "must be a name" });

/** The schema of a table; it must be one of those that the target allows. */
export const schemaName = catalogueName.default("public");

/** A table of an allowed schema, as the catalogue has it. */
export interface Table {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** Schema and name as SQL, quoted by the server. */
  readonly quoted: string;
  /** `r`: table, `m`: materialized view, `p`: partitioned table. */
  readonly kind: "r" | "m" | "p";
  readonly owner: string;
  /** Whether Paramedic's role has the rights of the owner. */
  readonly owned: boolean;
  /** Whether Paramedic's role may ANALYZE, VACUUM and REINDEX it. */
  readonly maintainable: boolean;
  /** With its indexes and what is stored out of line. */
  readonly totalBytes: number;
  /** Its rows alone, without what is stored out of line. */
  readonly rowBytes: number;
}

/** The schemas of the target that may be looked at and maintained. */
export function allowedSchemas(postgres: PostgresTarget): readonly string[] {
  return postgres.schemas ?? ["public"];
}

/** The Failure where the target does not allow the schema; null where it does. */
export function schemaNotAllowed(postgres: PostgresTarget, schema: string): Failure | null {
  const allowed = allowedSchemas(postgres);
  if (allowed.includes(schema)) return null;
  return lasting(`The schema ${shorten(schema, 63)} is not allowed (${allowed.join(", ")}). See postgres.schemas.`);
}

/** The Failure where the connected database may not be acted upon, or its server is too old; null where it may. */
export async function outOfScope(query: Query, postgres: PostgresTarget): Promise<Failure | null> {
  const [found] = await query<{ database: string; version: number }>(
    "SELECT current_database()::text AS database, current_setting('server_version_num')::int AS version",
  );
  if (!found) throw new Error("The statement that reads the database's name returned no row.");
  if (found.version < oldestVersion) {
    return lasting(`The server's version number is ${found.version}; PostgreSQL 14 or newer is needed.`);
  }
  if (postgres.databases.includes(found.database)) return null;
  return lasting(
    `The database ${found.database} of postgres.url is not among the allowed databases ` +
      `(${postgres.databases.join(", ")}). Correct postgres.databases or postgres.url.`,
  );
}

/** The allowed table of that name, or the Failure that says why there is none. */
export async function findTable(
  query: Query,
  postgres: PostgresTarget,
  name: { readonly schema: string; readonly table: string },
): Promise<Table | Failure> {
  const shown = shorten(`${name.schema}.${name.table}`, 130);
  const schemas = allowedSchemas(postgres);
  if (!schemas.includes(name.schema)) {
    return lasting(`The table ${shown} is not in an allowed schema (${schemas.join(", ")}). See postgres.schemas.`);
  }
  const [table] = await query<Table>(
    `SELECT ${tableColumns} FROM ${tableSource} WHERE n.nspname = $1 AND c.relname = $2 AND ${isTable}`,
    [name.schema, name.table],
  );
  return table ?? lasting(`There is no table ${shown}. Correct the playbook; names are compared as they are stored.`);
}

/** The columns of `Table`, of `tableSource`. */
export const tableColumns = `c.oid::int8::float8 AS oid, n.nspname::text AS schema, c.relname::text AS table,
       format('%I.%I', n.nspname, c.relname) AS quoted, c.relkind::text AS kind,
       pg_get_userbyid(c.relowner)::text AS owner, pg_has_role(c.relowner, 'USAGE') AS owned,
       pg_has_role(c.relowner, 'USAGE')
         OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')
         OR CASE WHEN current_setting('server_version_num')::int >= 170000
                 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS maintainable,
       pg_total_relation_size(c.oid)::float8 AS "totalBytes", pg_relation_size(c.oid)::float8 AS "rowBytes"`;
export const tableSource = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace";
/** Neither a partition's parent's parts nor tables of one session are excluded by kind: temporary ones are by schema. */
export const isTable = "c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'";

/** The Failure where Paramedic's role has not the rights of the table's owner. */
export function notOwned(table: Table): Failure {
  return lasting(
    `Paramedic's role does not own ${table.quoted}. Give it the owner's rights (GRANT "${table.owner}" TO its role).`,
  );
}

/** The Failure where Paramedic's role may not maintain the table. */
export function notMaintainable(table: Table): Failure {
  return lasting(
    `Paramedic's role may not maintain ${table.quoted}. Give it the owner's rights (GRANT "${table.owner}" TO its role), ` +
      "or pg_maintain on PostgreSQL 17 and newer.",
  );
}

/** A number of bytes for people. */
export function showBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  const value = bytes / 1024 ** power;
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[power - 1]}`;
}
