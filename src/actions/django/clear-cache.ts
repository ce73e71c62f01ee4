/** `django.clear-cache`: `clear()` of one of the project's caches. On Redis that empties the database, and so it is looked at first. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Outcome, Planned } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import { askDjango, orderDjango } from "./python.ts";

const input = z.strictObject({
  /** One of the names in the project's CACHES. */
  cache: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$/)
    .default("default"),
  /** Also where the Redis database holds keys that are not this cache's: sessions, queues. They are lost. */
  evenIfShared: z.boolean().default(false),
});

type Input = z.output<typeof input>;

/** What is emptied. */
export type ClearPlan = { readonly cache: string; readonly place: string; readonly evenIfShared: boolean };

const looked = z.object({ place: z.string(), keys: z.int().nullable(), foreign: z.string().nullable() });

export const clearCache: ChangeAction<Input, ClearPlan> = {
  name: "django.clear-cache",
  summary: "Empties one cache of a Django project.",
  input,
  kind: "change",
  onHost: true,
  risk: "low",
  repeat: "safe",
  plan,
  apply,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<ClearPlan>> {
  const answer = await askDjango(context, { do: "look-at-cache", cache: input.cache });
  if (answer.status === "failed") return answer;
  const { place, keys, foreign } = looked.parse(answer.value);
  if (foreign !== null && !input.evenIfShared) {
    return lasting(
      `Clearing the cache ${input.cache} would empty ${place}, which also holds keys that are not this cache's, ` +
        `such as ${foreign}. Give the cache a database of its own, use redis.delete-keys, or say evenIfShared.`,
    );
  }
  const what = keys === null ? "" : `, ${keys} keys`;
  const others = foreign === null ? "" : `, also those of others, such as ${foreign}`;
  return {
    status: "planned",
    plan: { cache: input.cache, place, evenIfShared: input.evenIfShared },
    effects: keys === 0 ? [] : [`empty the cache ${input.cache} (${place}${what}${others})`],
  };
}

async function apply(plan: ClearPlan, context: ActionContext): Promise<Outcome> {
  const answer = await orderDjango(context, { do: "clear-cache", ...plan });
  return answer.status === "answered" ? { status: "done", result: answer.value } : answer;
}
