/** Reads pg_stat_statements: what the statements of allowed users have cost since its numbers were last reset. */

import type { Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import type { Query, Session } from "./connect.ts";

/** One statement of allowed users in the connected database. Times in milliseconds. */
export interface Statement {
  /** A 64-bit number as text, as pg_stat_statements has it. */
  readonly queryId: string;
  readonly users: readonly string[];
  readonly calls: number;
  readonly meanMs: number;
  readonly maxMs: number;
  readonly totalMs: number;
  readonly rows: number;
  readonly blocksRead: number;
  readonly blocksHit: number;
  /** What was spilled to disk, in blocks. */
  readonly tempBlocks: number;
  /** The part of all time that allowed users' statements took, from 0 to 1. */
  readonly share: number;
  /** The statement's own text, with placeholders for most constants. It is not fit to be shown as it is. */
  readonly text: string;
  /** The role that called it most often. */
  readonly userId: number;
}

export interface Statements {
  readonly list: readonly Statement[];
  /** Since when is counted, RFC 3339 in UTC; null where the extension does not tell. */
  readonly since: string | null;
  /** The part of all time that statements which only read took, from 0 to 1; 0 where none is listed. */
  readonly readShare: number;
  /** How often rare statements had to be forgotten: where it grows fast, the numbers miss something. */
  readonly forgotten: number;
}

export interface StatementChoice {
  readonly minMeanMs: number;
  readonly minCalls: number;
  readonly atMost: number;
  readonly by: "total" | "mean";
  readonly queryId?: string;
}

/** The statements that cost most; a Failure that says what to do where the server does not keep account of them. */
export async function readStatements(
  query: Query,
  session: Session,
  postgres: PostgresTarget,
  choice: StatementChoice,
): Promise<Statements | Failure> {
  const schema = await extensionSchema(query);
  if (typeof schema !== "string") return schema;
  const found = await session.attempt<Statement & { readonly readShare: number }>(
    `WITH mine AS (
       SELECT s.*, r.rolname::text AS rolname FROM ${schema}.pg_stat_statements s
         JOIN pg_roles r ON r.oid = s.userid JOIN pg_database d ON d.oid = s.dbid
        WHERE r.rolname::text = ANY($1::text[]) AND d.datname = current_database()
          AND s.queryid IS NOT NULL AND s.query IS NOT NULL
     ), summed AS (
       SELECT queryid::text AS "queryId", array_agg(DISTINCT rolname) AS users, sum(calls)::float8 AS calls,
              sum(total_exec_time)::float8 / greatest(sum(calls), 1)::float8 AS "meanMs",
              max(max_exec_time)::float8 AS "maxMs", sum(total_exec_time)::float8 AS "totalMs",
              sum(rows)::float8 AS rows, sum(shared_blks_read)::float8 AS "blocksRead",
              sum(shared_blks_hit)::float8 AS "blocksHit",
              sum(temp_blks_read + temp_blks_written)::float8 AS "tempBlocks",
              sum(total_exec_time)::float8 / greatest((SELECT sum(total_exec_time) FROM mine), 1e-9)::float8 AS share,
              (array_agg(query ORDER BY calls DESC))[1] AS text,
              (array_agg(userid ORDER BY calls DESC))[1]::int8::float8 AS "userId"
         FROM mine GROUP BY queryid
     )
     SELECT summed.*, (SELECT coalesce(sum(total_exec_time) FILTER (WHERE ${onlyReads}), 0)::float8
                              / greatest(sum(total_exec_time), 1e-9)::float8 FROM mine) AS "readShare"
       FROM summed
      WHERE "meanMs" >= $2 AND calls >= $3 AND ($5::text IS NULL OR "queryId" = $5)
      ORDER BY ${choice.by === "mean" ? '"meanMs"' : '"totalMs"'} DESC, "queryId" LIMIT $4`,
    [postgres.users, choice.minMeanMs, choice.minCalls, choice.atMost, choice.queryId ?? null],
  );
  if (!found.ok) return unreadable(found.sqlState);
  const info = await session.attempt<{ since: string | null; forgotten: number }>(
    `SELECT to_char(stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since, dealloc::float8 AS forgotten
       FROM ${schema}.pg_stat_statements_info`,
  );
  const told = info.ok ? info.rows[0] : undefined;
  return {
    list: found.rows,
    since: told?.since ?? null,
    forgotten: told?.forgotten ?? 0,
    readShare: found.rows[0]?.readShare ?? 0,
  };
}

/** By its words, what a replica could answer: it neither writes nor locks rows. What its functions do cannot be seen. */
const onlyReads = `query ~* '^[\\s(]*(select|with)\\M'
  AND query !~* '\\m(insert\\s+into|delete\\s+from|merge\\s+into|update|for\\s+(key\\s+)?share)\\M'`;

/** The schema that the extension is in, quoted by the server. */
async function extensionSchema(query: Query): Promise<string | Failure> {
  const [found] = await query<{ schema: string | null; loaded: boolean; database: string }>(
    `SELECT (SELECT format('%I', n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
              WHERE e.extname = 'pg_stat_statements') AS schema,
            current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded,
            current_database()::text AS database`,
  );
  if (!found) throw new Error("The statement that looks for the extension returned no row.");
  if (!found.loaded) {
    return lasting(
      "The server does not load pg_stat_statements, so nobody counts what statements cost. Add it to " +
        "shared_preload_libraries and restart the server.",
    );
  }
  return (
    found.schema ??
    lasting(
      `The extension pg_stat_statements is missing in ${found.database}. Run there: CREATE EXTENSION pg_stat_statements`,
    )
  );
}

function unreadable(sqlState: string): Failure {
  if (sqlState === "42703") {
    return lasting("The extension pg_stat_statements is too old. Run: ALTER EXTENSION pg_stat_statements UPDATE");
  }
  return lasting(
    `pg_stat_statements cannot be read (SQLSTATE ${sqlState}). Check the rights of Paramedic's role on it.`,
  );
}
