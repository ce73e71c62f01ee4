/** Which tables are maintained: those that are named, or those that need it most. What is planned is bound to their oids. */

import { z } from "zod";
import type { Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import type { Query } from "./connect.ts";
import {
  catalogueName,
  findTable,
  notMaintainable,
  outOfScope,
  schemaName,
  schemaNotAllowed,
  type Table,
  tableColumns,
  tableSource,
} from "./scope.ts";

/** The inputs by which tables are chosen. */
export const tableChoice = {
  /** One of the allowed schemas. */
  schema: schemaName,
  /** Left out: those that need it most. */
  tables: z.array(catalogueName).min(1).max(100).optional(),
  /** Of those that need it most, at most so many. */
  atMost: z.int().min(1).max(100).default(20),
};

export interface Choice {
  readonly schema: string;
  readonly tables?: readonly string[] | undefined;
  readonly atMost: number;
}

/** A table as a plan names it. */
export type PlannedTable = { readonly oid: number; readonly schema: string; readonly table: string };

/** What is counted to find the tables that need it most: a column of pg_stat_all_tables, and from how many rows on. */
export interface Urgency {
  readonly column: "n_mod_since_analyze" | "n_dead_tup";
  readonly atLeast: number;
}

/** The chosen tables, all of which Paramedic's role may maintain; a Failure where one that is named is not to be had. */
export async function chooseTables(
  query: Query,
  postgres: PostgresTarget,
  choice: Choice,
  urgency: Urgency,
): Promise<readonly Table[] | Failure> {
  const refused = await outOfScope(query, postgres);
  if (refused) return refused;
  if (choice.tables === undefined) return neediest(query, postgres, choice, urgency);
  const chosen: Table[] = [];
  for (const name of new Set(choice.tables)) {
    const table = await findTable(query, postgres, { schema: choice.schema, table: name });
    if ("status" in table) return table;
    if (!table.maintainable) return notMaintainable(table);
    chosen.push(table);
  }
  return chosen;
}

async function neediest(
  query: Query,
  postgres: PostgresTarget,
  { schema, atMost }: Choice,
  { column, atLeast }: Urgency,
): Promise<readonly Table[] | Failure> {
  const refused = schemaNotAllowed(postgres, schema);
  if (refused) return refused;
  const tables = await query<Table>(
    `SELECT ${tableColumns} FROM ${tableSource} JOIN pg_stat_all_tables s ON s.relid = c.oid
      WHERE n.nspname = $1 AND c.relkind IN ('r', 'm') AND s.${column} >= $2
      ORDER BY s.${column} DESC, c.oid LIMIT $3`,
    [schema, atLeast, atMost],
  );
  return tables.filter(({ maintainable }) => maintainable);
}

/** The table of a plan as it is now; null where it is gone or another one has its name. */
export async function sameTable(query: Query, postgres: PostgresTarget, planned: PlannedTable): Promise<Table | null> {
  const table = await findTable(query, postgres, planned);
  return "status" in table || table.oid !== planned.oid ? null : table;
}

export function plannedTable({ oid, schema, table }: Table): PlannedTable {
  return { oid, schema, table };
}
