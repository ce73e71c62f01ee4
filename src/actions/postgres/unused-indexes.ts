/** `postgres.unused-indexes`: indexes that nobody read since the server began to count, and that no rule needs. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { withClient } from "./connect.ts";
import { allowedSchemas, outOfScope } from "./scope.ts";

const mostIndexes = 500;

const input = z.strictObject({
  /** Only indexes that were read at most so often. */
  mostScans: z.int().min(0).max(1_000_000_000).default(0),
  /** Only indexes that are at least so large. */
  minBytes: z.int().min(0).default(0),
});

const index = z.object({
  schema: z.string(),
  table: z.string(),
  index: z.string(),
  /** As of the last vacuum or ANALYZE of its table. */
  bytes: z.number(),
  scans: z.number(),
});

const output = z.object({
  /** Since when reads are counted, RFC 3339; empty where that is since the database was made. */
  since: z.string(),
  /** Whether replicas stream from this server, on which an index may be read without being counted here. */
  replicas: z.boolean(),
  count: z.int(),
  bytes: z.number(),
  /** The largest first, at most 500. */
  indexes: z.array(index),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const unusedIndexes: ObserveAction<Input, Output> = {
  name: "postgres.unused-indexes",
  summary: "Reads which indexes nobody has read since the server began to count.",
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(input: Input, context: ActionContext): Promise<Observed<Output>> {
  return withClient(context, async (query, postgres): Promise<Observed<Output>> => {
    const refused = await outOfScope(query, postgres);
    if (refused) return refused;
    const [server] = await query<{ since: string; replicas: boolean }>(
      `SELECT coalesce(to_char(stats_reset AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '') AS since,
              EXISTS (SELECT FROM pg_stat_replication) AS replicas
         FROM pg_stat_database WHERE datname = current_database()`,
    );
    if (!server) throw new Error("The statement that reads the database's statistics returned no row.");
    // What keeps rows apart, or marks those that a replica follows, is needed though nobody reads it.
    const found = await query<z.output<typeof index>>(
      `SELECT s.schemaname::text AS schema, s.relname::text AS table, s.indexrelname::text AS index,
              c.relpages::float8 * current_setting('block_size')::float8 AS bytes, s.idx_scan::float8 AS scans
         FROM pg_stat_all_indexes s JOIN pg_index i USING (indexrelid) JOIN pg_class c ON c.oid = s.indexrelid
        WHERE s.schemaname::text = ANY($1::text[]) AND s.idx_scan <= $2
          AND i.indisvalid AND NOT i.indisunique AND NOT i.indisprimary AND NOT i.indisexclusion AND NOT i.indisreplident
          AND c.relpages::float8 * current_setting('block_size')::float8 >= $3
        ORDER BY bytes DESC, schema, "table", index`,
      [allowedSchemas(postgres), input.mostScans, input.minBytes],
    );
    return {
      status: "observed",
      output: {
        ...server,
        count: found.length,
        bytes: found.reduce((sum, { bytes }) => sum + bytes, 0),
        indexes: found.slice(0, mostIndexes),
      },
    };
  });
}
