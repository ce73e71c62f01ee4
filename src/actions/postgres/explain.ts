/** `postgres.explain`: how the server would run a statement that pg_stat_statements knows. It is not run. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import { withClient } from "./connect.ts";
import { explainStatement, showCondition } from "./explain-plan.ts";
import { showQuery } from "./query-text.ts";
import { missingRights } from "./rights.ts";
import { outOfScope } from "./scope.ts";
import { readStatements } from "./statements.ts";

const input = z.strictObject({
  /** A statement of an allowed user, as `postgres.slow-queries` names it. */
  queryId: z.string().regex(/^-?\d{1,19}$/, { error: "must be the queryId of a statement, in quotes" }),
});

const node = z.object({
  depth: z.int(),
  node: z.string(),
  table: z.string(),
  index: z.string(),
  totalCost: z.number(),
  rows: z.number(),
  /** Without literals; empty where there is none. */
  filter: z.string(),
  indexCondition: z.string(),
});

const output = z.object({
  queryId: z.string(),
  calls: z.number(),
  meanMs: z.number(),
  /** Without literals. */
  query: z.string(),
  /** In the server's own units. */
  totalCost: z.number(),
  /** The tables that are read from one end to the other. */
  wholeTables: z.array(z.string()),
  /** At most 200, in the order in which EXPLAIN prints them. */
  nodes: z.array(node),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const explain: ObserveAction<Input, Output> = {
  name: "postgres.explain",
  summary: "Reads how the server would run a statement that it knows, without running it.",
  input,
  kind: "observe",
  output,
  observe,
};

async function observe({ queryId }: Input, context: ActionContext): Promise<Observed<Output>> {
  return withClient(context, async (query, postgres, session): Promise<Observed<Output>> => {
    const missing = (await missingRights(query, postgres, "see")) ?? (await outOfScope(query, postgres));
    if (missing) return missing;
    const choice = { minMeanMs: 0, minCalls: 0, atMost: 1, by: "total", queryId } as const;
    const read = await readStatements(query, session, postgres, choice);
    if ("status" in read) return read;
    const [statement] = read.list;
    if (!statement) {
      return lasting(
        `pg_stat_statements knows no statement ${queryId} of an allowed user in this database. ` +
          "Take the queryId from postgres.slow-queries.",
      );
    }
    const explained = await explainStatement(query, session, postgres, statement);
    if (!explained.ok) return lasting(`The statement ${queryId} cannot be explained. ${explained.reason}`);
    const nodes = explained.nodes.map(({ schema, table, alias: _, ...rest }) => ({
      ...rest,
      table: table === "" ? "" : `${schema}.${table}`,
      filter: showCondition(rest.filter),
      indexCondition: showCondition(rest.indexCondition),
    }));
    const whole = nodes.filter((one) => one.node === "Seq Scan").map(({ table }) => table);
    return {
      status: "observed",
      output: {
        queryId,
        calls: statement.calls,
        meanMs: Math.round(statement.meanMs * 1_000) / 1_000,
        query: showQuery(statement.text),
        totalCost: nodes[0]?.totalCost ?? 0,
        wholeTables: [...new Set(whole)],
        nodes,
      },
    };
  });
}
