/** `postgres.invalid-indexes`: what interrupted index builds left behind, and what to do about each. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { withClient } from "./connect.ts";
import { adviceFor, findLeftovers, originOf } from "./leftovers.ts";
import { missingRights } from "./rights.ts";
import { outOfScope } from "./scope.ts";

const mostIndexes = 500;

const input = z.strictObject({});

const index = z.object({
  schema: z.string(),
  table: z.string(),
  index: z.string(),
  bytes: z.number(),
  origin: z.enum(["failed rebuild", "finished rebuild", "failed build"]),
  /** Whether somebody is building at this table just now. */
  building: z.boolean(),
  advice: z.string(),
});

const output = z.object({
  /** Without those that somebody is building just now. */
  count: z.int(),
  /** What they take up on disk together. */
  bytes: z.number(),
  /** The largest first, at most 500. */
  indexes: z.array(index),
});

type Output = z.output<typeof output>;

export const invalidIndexes: ObserveAction<Record<string, never>, Output> = {
  name: "postgres.invalid-indexes",
  summary: "Reads which indexes interrupted builds left invalid.",
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(_input: Record<string, never>, context: ActionContext): Promise<Observed<Output>> {
  return withClient(context, async (query, postgres): Promise<Observed<Output>> => {
    // Without the right to see other roles' sessions an index that is being built would look like a leftover.
    const missing = (await missingRights(query, postgres, "see")) ?? (await outOfScope(query, postgres));
    if (missing) return missing;
    const found = await findLeftovers(query, postgres, null);
    const left = found.filter(({ building }) => !building);
    return {
      status: "observed",
      output: {
        count: left.length,
        bytes: left.reduce((sum, { bytes }) => sum + bytes, 0),
        indexes: found.slice(0, mostIndexes).map((leftover) => ({
          schema: leftover.schema,
          table: leftover.table,
          index: leftover.index,
          bytes: leftover.bytes,
          origin: originOf(leftover.index),
          building: leftover.building,
          advice: adviceFor(leftover),
        })),
      },
    };
  });
}
