/** `postgres.analyze`: renews the statistics that the planner decides by. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Outcome, Planned } from "../../domain/action.ts";
import { withClient } from "./connect.ts";
import { doNext, newCourse, toldWith } from "./course.ts";
import { gentleSession, maintainPatiently } from "./maintain.ts";
import { outOfScope } from "./scope.ts";
import { chooseTables, type PlannedTable, plannedTable, sameTable, tableChoice } from "./table-choice.ts";

const input = z.strictObject({
  ...tableChoice,
  /** Where no tables are named: only those with so many rows changed since they were last analyzed. */
  minChangedRows: z.int().min(1).max(1_000_000_000).default(1),
});

type Input = z.output<typeof input>;

/** Which tables are analyzed, in this order. */
export type AnalyzePlan = { readonly tables: readonly PlannedTable[] };

export const analyze: ChangeAction<Input, AnalyzePlan> = {
  name: "postgres.analyze",
  summary: "Renews the statistics by which the server plans queries.",
  input,
  kind: "change",
  risk: "low",
  repeat: "safe",
  plan,
  apply,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<AnalyzePlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<AnalyzePlan>> => {
    const urgency = { column: "n_mod_since_analyze", atLeast: input.minChangedRows } as const;
    const tables = await chooseTables(query, postgres, input, urgency);
    if ("status" in tables) return tables;
    return {
      status: "planned",
      plan: { tables: tables.map(plannedTable) },
      effects: tables.map(({ quoted }) => `analyze ${quoted}`),
    };
  });
}

async function apply(plan: AnalyzePlan, context: ActionContext): Promise<Outcome> {
  const course = newCourse();
  const outcome = await withClient(
    context,
    async (query, postgres, session): Promise<Outcome> => {
      const refused = await outOfScope(query, postgres);
      if (refused) return refused;
      const gone: string[] = [];
      for (const planned of plan.tables) {
        const table = await sameTable(query, postgres, planned);
        if (!table) {
          gone.push(`${planned.schema}.${planned.table}`);
          continue;
        }
        const { quoted } = table;
        const maintenance = () => maintainPatiently(session, `ANALYZE ${quoted}`, quoted, context);
        const failure = await doNext(course, quoted, maintenance);
        if (failure) return failure;
      }
      return { status: "done", result: { analyzed: course.done, gone } };
    },
    gentleSession,
  );
  return toldWith(course, outcome, "Analyzed", "analysis");
}
