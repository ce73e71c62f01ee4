/** `postgres.slow-queries`: which statements of allowed users cost the database most, from pg_stat_statements. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { withClient } from "./connect.ts";
import { showQuery } from "./query-text.ts";
import { missingRights } from "./rights.ts";
import { outOfScope } from "./scope.ts";
import { readStatements, type Statement } from "./statements.ts";

const input = z.strictObject({
  /** Only statements that take at least so long on average. */
  minMeanMs: z.number().min(0).max(86_400_000).default(100),
  /** Only statements that were called at least so often. */
  minCalls: z.int().min(1).max(1_000_000_000).default(1),
  /** At most so many, the costliest first. */
  atMost: z.int().min(1).max(100).default(20),
  /** What is costly: all calls together, or one of them. */
  by: z.enum(["total", "mean"]).default("total"),
});

const statement = z.object({
  /** What `postgres.explain` takes. */
  queryId: z.string(),
  users: z.array(z.string()),
  calls: z.number(),
  meanMs: z.number(),
  maxMs: z.number(),
  totalMs: z.number(),
  /** Returned or changed, for each call. */
  rowsPerCall: z.number(),
  /** The part of the time that all statements of allowed users took, from 0 to 1. */
  share: z.number(),
  /** The part of the blocks that was found in memory, from 0 to 1; 1 where none was needed. */
  memoryHitRatio: z.number(),
  /** Whether it spilled to disk: sorts or hashes did not fit into work_mem. */
  spills: z.boolean(),
  /** Without literals. */
  query: z.string(),
});

const output = z.object({
  /** The longest average of those found; 0 where there is none. */
  slowestMeanMs: z.number(),
  found: z.int(),
  /** Since when is counted, RFC 3339; empty where the server does not tell. */
  since: z.string(),
  /** How often the server had to forget rare statements since then. */
  forgotten: z.number(),
  /**
   * The part of the time of allowed users' statements that went to those that only read, as a replica could, from 0 to 1;
   * 0 where `statements` is empty.
   */
  readShare: z.number(),
  statements: z.array(statement),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const slowQueries: ObserveAction<Input, Output> = {
  name: "postgres.slow-queries",
  summary: "Reads which statements of allowed users cost the database most time.",
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(input: Input, context: ActionContext): Promise<Observed<Output>> {
  return withClient(context, async (query, postgres, session): Promise<Observed<Output>> => {
    const missing = (await missingRights(query, postgres, "see")) ?? (await outOfScope(query, postgres));
    if (missing) return missing;
    const read = await readStatements(query, session, postgres, input);
    if ("status" in read) return read;
    const statements = read.list.map(shown);
    return {
      status: "observed",
      output: {
        slowestMeanMs: Math.max(0, ...statements.map(({ meanMs }) => meanMs)),
        found: statements.length,
        since: read.since ?? "",
        forgotten: read.forgotten,
        readShare: rounded(read.readShare),
        statements,
      },
    };
  });
}

function shown(statement: Statement): z.output<typeof output>["statements"][number] {
  const { queryId, calls, blocksHit, blocksRead } = statement;
  const blocks = blocksHit + blocksRead;
  return {
    queryId,
    users: [...statement.users],
    calls,
    meanMs: rounded(statement.meanMs),
    maxMs: rounded(statement.maxMs),
    totalMs: rounded(statement.totalMs),
    rowsPerCall: rounded(statement.rows / Math.max(calls, 1)),
    share: rounded(statement.share),
    memoryHitRatio: blocks === 0 ? 1 : rounded(blocksHit / blocks),
    spills: statement.tempBlocks > 0,
    query: showQuery(statement.text),
  };
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
