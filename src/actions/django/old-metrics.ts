/** What cleaning and archiving metrics have in common: a configured function is called with an age, and one counts before. */

import { z } from "zod";
import type { ActionContext, Outcome, Planned } from "../../domain/action.ts";
import type { DjangoTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import { askDjango, djangoOf, orderDjango } from "./python.ts";

/** What is called and with which age. */
export type MetricsPlan = { readonly call: string; readonly age: number };

/** How the two actions differ. */
export interface MetricsCall {
  readonly setting: "cleanUp" | "archive";
  readonly verb: string;
  /** The argument's name, in whose unit the age is. */
  readonly unit: "hours" | "days";
}

/** Counts where the configuration says how; nothing that is old enough is nothing to do. */
export async function planMetrics(
  { setting, verb, unit }: MetricsCall,
  age: number,
  context: ActionContext,
): Promise<Planned<MetricsPlan>> {
  const django = djangoOf(context);
  if ("status" in django) return django;
  const name = django.metrics[setting];
  if (name === undefined) {
    return lasting(`The target ${context.target?.name} does not say how. Add django.metrics.${setting} to it.`);
  }
  const counting = countOf(django, unit === "days" ? age * 24 : age);
  const answer = await askDjango(context, { do: "check", names: [name], ...counting });
  if (answer.status === "failed") return answer;
  const count = z.int().nullable().parse(answer.value);
  const what = count === null ? "metrics" : `${count} metrics`;
  const effects = count === 0 ? [] : [`${verb} ${what} that are older than ${age} ${unit} (${name})`];
  return { status: "planned", plan: { call: name, age }, effects };
}

function countOf({ metrics }: DjangoTarget, hours: number) {
  return metrics.count === undefined ? {} : { count: metrics.count, countArguments: { hours } };
}

/** Calls what was planned, if it is still what the configuration names. */
export async function applyMetrics(
  { setting, unit }: MetricsCall,
  plan: MetricsPlan,
  context: ActionContext,
): Promise<Outcome> {
  const django = djangoOf(context);
  if ("status" in django) return django;
  if (django.metrics[setting] !== plan.call) {
    return lasting(`django.metrics.${setting} is no longer ${plan.call}. Plan it again.`);
  }
  const counting = countOf(django, 0);
  const order = { do: "call", names: [plan.call], arguments: { [unit]: plan.age }, ...counting };
  const answer = await orderDjango(context, order);
  return answer.status === "answered" ? { status: "done", result: answer.value } : answer;
}
