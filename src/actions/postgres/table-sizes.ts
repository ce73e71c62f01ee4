/** `postgres.table-sizes`: the largest tables of the allowed schemas, and what maintenance they need. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { withClient } from "./connect.ts";
import { allowedSchemas, isTable, outOfScope } from "./scope.ts";

const input = z.strictObject({
  /** At most so many, the largest first. */
  atMost: z.int().min(1).max(500).default(20),
});

const table = z.object({
  schema: z.string(),
  table: z.string(),
  /** With its indexes and what is stored out of line. */
  totalBytes: z.number(),
  tableBytes: z.number(),
  indexBytes: z.number(),
  /** As the server estimates; -1 where the table was never analyzed. */
  rows: z.number(),
  /** Rows that were changed or deleted and still take up space, as the server estimates. */
  deadRows: z.number(),
  /** The dead part of all rows, from 0 to 1. */
  deadRatio: z.number(),
  /** Rows changed since the planner's statistics were last made. */
  changedSinceAnalyze: z.number(),
  /** By hand or by autovacuum, RFC 3339; empty: never. */
  lastVacuum: z.string(),
  lastAnalyze: z.string(),
});

const output = z.object({
  databaseBytes: z.number(),
  /** Tables that were left out because somebody holds them locked. */
  locked: z.int(),
  tables: z.array(table),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const tableSizes: ObserveAction<Input, Output> = {
  name: "postgres.table-sizes",
  summary: "Reads how large the largest tables are and how many dead rows they hold.",
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(input: Input, context: ActionContext): Promise<Observed<Output>> {
  return withClient(context, async (query, postgres): Promise<Observed<Output>> => {
    const refused = await outOfScope(query, postgres);
    if (refused) return refused;
    const schemas = allowedSchemas(postgres);
    const [whole] = await query<{ databaseBytes: number; locked: number }>(
      `SELECT pg_database_size(current_database())::float8 AS "databaseBytes",
              (SELECT count(*)::int FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname::text = ANY($1::text[]) AND ${isTable} AND ${isLocked}) AS locked`,
      [schemas],
    );
    const tables = await query<z.output<typeof table>>(
      `WITH sized AS (
         SELECT c.*, n.nspname, pg_total_relation_size(c.oid) AS total
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname::text = ANY($1::text[]) AND ${isTable} AND NOT ${isLocked}
          ORDER BY total DESC, c.oid LIMIT $2
       )
       SELECT c.nspname::text AS schema, c.relname::text AS table, c.total::float8 AS "totalBytes",
              pg_table_size(c.oid)::float8 AS "tableBytes", pg_indexes_size(c.oid)::float8 AS "indexBytes",
              c.reltuples::float8 AS rows, coalesce(s.n_dead_tup, 0)::float8 AS "deadRows",
              round(coalesce(s.n_dead_tup::numeric / nullif(s.n_live_tup + s.n_dead_tup, 0), 0), 4)::float8 AS "deadRatio",
              coalesce(s.n_mod_since_analyze, 0)::float8 AS "changedSinceAnalyze",
              ${moment("greatest(s.last_vacuum, s.last_autovacuum)")} AS "lastVacuum",
              ${moment("greatest(s.last_analyze, s.last_autoanalyze)")} AS "lastAnalyze"
         FROM sized c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
        ORDER BY c.total DESC, c.oid`,
      [schemas, input.atMost],
    );
    if (!whole) throw new Error("The statement that reads the database's size returned no row.");
    return { status: "observed", output: { ...whole, tables } };
  });
}

/** To read a table's size one waits for whoever has locked it against everybody. */
const isLocked = `EXISTS (SELECT FROM pg_locks l
  WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'AccessExclusiveLock'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))`;

function moment(column: string): string {
  return `coalesce(to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '')`;
}
