/** `django.warm-caches`: calls what the configuration names as warming the project's caches, in that order. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Outcome, Planned } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import { askDjango, djangoOf, orderDjango } from "./python.ts";

const input = z.strictObject({});

/** What is called. */
export type WarmPlan = { readonly calls: readonly string[] };

export const warmCaches: ChangeAction<z.output<typeof input>, WarmPlan> = {
  name: "django.warm-caches",
  summary: "Calls the target's configured warm-up functions inside its Django project.",
  input,
  kind: "change",
  onHost: true,
  risk: "low",
  repeat: "safe",
  plan: (_, context) => plan(context),
  apply,
};

async function plan(context: ActionContext): Promise<Planned<WarmPlan>> {
  const django = djangoOf(context);
  if ("status" in django) return django;
  const names = django.warmUp;
  if (names.length === 0) {
    return lasting(`The target ${context.target?.name} names nothing that warms caches. Add django.warmUp to it.`);
  }
  const answer = await askDjango(context, { do: "check", names, cache: true });
  if (answer.status === "failed") return answer;
  return { status: "planned", plan: { calls: names }, effects: names.map((name) => `call ${name}`) };
}

async function apply(plan: WarmPlan, context: ActionContext): Promise<Outcome> {
  const django = djangoOf(context);
  if ("status" in django) return django;
  const removed = plan.calls.find((name) => !django.warmUp.includes(name));
  if (removed !== undefined) return lasting(`${removed} is no longer in django.warmUp. Plan it again.`);
  const answer = await orderDjango(context, { do: "call", names: plan.calls, arguments: {}, cache: true });
  return answer.status === "answered" ? { status: "done", result: answer.value } : answer;
}
