/** `postgres.missing-indexes`: evidence that an index is missing. It suggests; a person decides. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { type Query, type Session, withClient } from "./connect.ts";
import { explainStatement, showCondition } from "./explain-plan.ts";
import { columnsOf, isWasteful } from "./index-candidates.ts";
import { showQuery } from "./query-text.ts";
import { missingRights } from "./rights.ts";
import { allowedSchemas, outOfScope } from "./scope.ts";
import { readStatements, type Statement } from "./statements.ts";

const input = z.strictObject({
  /** How many of the costliest statements are looked at. */
  statements: z.int().min(1).max(200).default(50),
  /** Tables with fewer rows are left alone: reading them whole costs little. */
  minRows: z.int().min(0).max(1_000_000_000).default(10_000),
});

const suggestion = z.object({
  schema: z.string(),
  table: z.string(),
  /** What `postgres.create-index` would take. */
  columns: z.array(z.string()),
  /** As the server estimates. */
  tableRows: z.number(),
  tableBytes: z.number(),
  /** The part of the table that the statements want, from 0 to 1, as the server expects. */
  selected: z.number(),
  /** Of the statements below together. */
  calls: z.number(),
  totalMs: z.number(),
  /** Their part of the time that all statements of allowed users took, from 0 to 1. */
  share: z.number(),
  /** Rows inserted, changed and deleted since the statistics were reset: each would have to keep the index as well. */
  writes: z.number(),
  queryIds: z.array(z.string()),
  /** The costliest of the statements and what it filters by, without literals. */
  query: z.string(),
  filter: z.string(),
  existingIndexes: z.array(z.string()),
});

const foreignKey = z.object({
  schema: z.string(),
  table: z.string(),
  columns: z.array(z.string()),
  constraint: z.string(),
  /** The table that is read whole when a row of the other one is deleted or its key changes. */
  references: z.string(),
  tableRows: z.number(),
});

const output = z.object({
  /** Since when statements are counted, RFC 3339; empty where the server does not tell. */
  since: z.string(),
  /** Statements that were looked at, and those of them that could not be explained. */
  looked: z.int(),
  unexplained: z.int(),
  /** Why there may be less here than there is; empty otherwise. */
  note: z.string(),
  /** The costliest first. */
  suggestions: z.array(suggestion),
  /** Foreign keys without an index on their own side, the largest table first, at most 100. */
  foreignKeys: z.array(foreignKey),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;
type Suggestion = z.output<typeof suggestion>;

interface TableFacts {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: number;
  readonly bytes: number;
  readonly writes: number;
  readonly indexes: readonly string[];
}

export const missingIndexes: ObserveAction<Input, Output> = {
  name: "postgres.missing-indexes",
  summary: "Finds statements that read whole tables to keep few rows, and foreign keys without an index.",
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(input: Input, context: ActionContext): Promise<Observed<Output>> {
  return withClient(context, async (query, postgres, session): Promise<Observed<Output>> => {
    const missing = (await missingRights(query, postgres, "see")) ?? (await outOfScope(query, postgres));
    if (missing) return missing;
    const foreignKeys = await readForeignKeys(query, postgres, input.minRows);
    const choice = { minMeanMs: 0, minCalls: 1, atMost: input.statements, by: "total" } as const;
    const read = await readStatements(query, session, postgres, choice);
    if ("status" in read) {
      const nothing = { since: "", looked: 0, unexplained: 0, suggestions: [] };
      return { status: "observed", output: { ...nothing, note: read.reason, foreignKeys } };
    }
    const tables = await readTables(query, postgres);
    const { suggestions, refusals } = await suggest(query, session, postgres, read.list, tables, input.minRows);
    return {
      status: "observed",
      output: {
        since: read.since ?? "",
        looked: read.list.length,
        unexplained: refusals.length,
        note: refusals[0] ?? "",
        suggestions,
        foreignKeys,
      },
    };
  });
}

async function suggest(
  query: Query,
  session: Session,
  postgres: PostgresTarget,
  statements: readonly Statement[],
  tables: readonly TableFacts[],
  minRows: number,
): Promise<{ readonly suggestions: Suggestion[]; readonly refusals: readonly string[] }> {
  const found = new Map<string, Suggestion>();
  const refusals: string[] = [];
  for (const statement of statements) {
    const explained = await explainStatement(query, session, postgres, statement);
    if (!explained.ok) {
      refusals.push(explained.reason);
      continue;
    }
    for (const node of explained.nodes) {
      const facts = tables.find(({ schema, table }) => schema === node.schema && table === node.table);
      if (!facts || !isWasteful(node, facts.rows, minRows)) continue;
      const columns = columnsOf(node, facts.columns);
      if (columns.length === 0) continue;
      const key = JSON.stringify([facts.schema, facts.table, columns]);
      found.set(key, merge(found.get(key), statement, facts, columns, node));
    }
  }
  const suggestions = [...found.values()].sort((one, other) => other.totalMs - one.totalMs);
  return { suggestions, refusals };
}

function merge(
  before: Suggestion | undefined,
  statement: Statement,
  facts: TableFacts,
  columns: readonly string[],
  node: { readonly rows: number; readonly filter: string },
): Suggestion {
  if (before?.queryIds.includes(statement.queryId)) return before;
  const sum = (had: number | undefined, more: number) => Math.round(((had ?? 0) + more) * 1_000) / 1_000;
  return {
    schema: facts.schema,
    table: facts.table,
    columns: [...columns],
    tableRows: facts.rows,
    tableBytes: facts.bytes,
    selected: Math.max(before?.selected ?? 0, Math.round((node.rows / Math.max(facts.rows, 1)) * 1e6) / 1e6),
    calls: sum(before?.calls, statement.calls),
    totalMs: sum(before?.totalMs, statement.totalMs),
    share: sum(before?.share, statement.share),
    writes: facts.writes,
    queryIds: [...(before?.queryIds ?? []), statement.queryId],
    query: before?.query ?? showQuery(statement.text),
    filter: before?.filter ?? showCondition(node.filter),
    existingIndexes: [...facts.indexes],
  };
}

function readTables(query: Query, postgres: PostgresTarget): Promise<TableFacts[]> {
  return query<TableFacts>(
    `SELECT n.nspname::text AS schema, c.relname::text AS table, greatest(c.reltuples, 0)::float8 AS rows,
            (c.relpages::float8 * current_setting('block_size')::float8) AS bytes,
            coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0)::float8 AS writes,
            ARRAY(SELECT a.attname::text FROM pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
            ARRAY(SELECT x.relname::text FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                   WHERE i.indrelid = c.oid ORDER BY x.relname) AS indexes
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
      WHERE n.nspname::text = ANY($1::text[]) AND c.relkind IN ('r', 'm')`,
    [allowedSchemas(postgres)],
  );
}

function readForeignKeys(
  query: Query,
  postgres: PostgresTarget,
  minRows: number,
): Promise<z.output<typeof foreignKey>[]> {
  return query(
    `SELECT n.nspname::text AS schema, c.relname::text AS table, k.conname::text AS constraint,
            ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS p (number, place)
                    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number ORDER BY p.place) AS columns,
            format('%s.%s', m.nspname, r.relname) AS references, greatest(c.reltuples, 0)::float8 AS "tableRows"
       FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace m ON m.oid = r.relnamespace
      WHERE k.contype = 'f' AND n.nspname::text = ANY($1::text[]) AND c.reltuples >= $2
        AND NOT EXISTS (
          SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
             AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
      ORDER BY c.reltuples DESC, k.oid LIMIT 100`,
    [allowedSchemas(postgres), minRows],
  );
}
