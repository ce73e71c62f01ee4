/** `postgres.drop-invalid-indexes`: clears away what interrupted index builds left behind, exactly what was planned. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Outcome, Planned } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import { withClient } from "./connect.ts";
import { doNext, newCourse, toldWith } from "./course.ts";
import { adviceFor, findLeftovers, originOf } from "./leftovers.ts";
import { concurrentSession, maintain } from "./maintain.ts";
import { missingRights } from "./rights.ts";
import { catalogueName, findTable, outOfScope, schemaNotAllowed, showBytes } from "./scope.ts";

const input = z.strictObject({
  /** Only those of this schema, which is `public` where only a table is named. Left out: of all allowed schemas. */
  schema: catalogueName.optional(),
  /** Only those of this table; left out: of all tables. */
  table: catalogueName.optional(),
});

type Input = z.output<typeof input>;

/** Which indexes are dropped: all are invalid, and nobody is building them. */
export type DropPlan = {
  readonly indexes: readonly { readonly oid: number; readonly schema: string; readonly index: string }[];
};

export const dropInvalidIndexes: ChangeAction<Input, DropPlan> = {
  name: "postgres.drop-invalid-indexes",
  summary: "Drops the invalid indexes that interrupted builds left behind.",
  input,
  kind: "change",
  risk: "high",
  repeat: "safe",
  plan,
  apply,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<DropPlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<DropPlan>> => {
    const missing = (await missingRights(query, postgres, "see")) ?? (await outOfScope(query, postgres));
    if (missing) return missing;
    const { schema, table: name } = input;
    const refused = schema === undefined ? null : schemaNotAllowed(postgres, schema);
    if (refused) return refused;
    const table =
      name === undefined ? null : await findTable(query, postgres, { schema: schema ?? "public", table: name });
    if (table && "status" in table) return table;
    const found = await findLeftovers(query, postgres, table?.oid ?? null);
    const leftovers = found.filter(
      ({ building, droppable, schema: of }) => droppable && !building && (schema ?? of) === of,
    );
    const foreign = leftovers.find(({ owned }) => !owned);
    if (foreign) {
      return lasting(
        `Paramedic's role does not own ${foreign.quoted}. Give it the owner's rights (GRANT "${foreign.owner}" TO its role).`,
      );
    }
    return {
      status: "planned",
      plan: { indexes: leftovers.map(({ oid, schema: of, index }) => ({ oid, schema: of, index })) },
      effects: leftovers.map(
        (one) =>
          `drop the invalid index ${one.quoted} (${showBytes(one.bytes)}, of a ${originOf(one.index)}). ${adviceFor(one)}`,
      ),
    };
  });
}

async function apply(plan: DropPlan, context: ActionContext): Promise<Outcome> {
  const course = newCourse();
  const outcome = await withClient(
    context,
    async (query, postgres, session): Promise<Outcome> => {
      const missing = (await missingRights(query, postgres, "see")) ?? (await outOfScope(query, postgres));
      if (missing) return missing;
      const gone: string[] = [];
      for (const planned of plan.indexes) {
        const found = await findLeftovers(query, postgres, null);
        const leftover = found.find((one) => one.oid === planned.oid && one.index === planned.index);
        if (!leftover?.droppable || leftover.building) {
          gone.push(`${planned.schema}.${planned.index}`);
          continue;
        }
        const { quoted } = leftover;
        const maintenance = () => maintain(session, `DROP INDEX CONCURRENTLY ${quoted}`, quoted);
        const failure = await doNext(course, quoted, maintenance);
        if (failure) return failure;
      }
      return { status: "done", result: { dropped: course.done, gone } };
    },
    concurrentSession,
  );
  return toldWith(course, outcome, "Dropped", "drop");
}
