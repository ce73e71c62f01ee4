/** `django.report`: what one of the project's own functions tells, such as a summary of its performance. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import type { Json } from "../../domain/json.ts";
import { lasting } from "../failure.ts";
import { redactJson } from "../redact.ts";
import { askDjango, djangoOf } from "./python.ts";

const input = z.strictObject({
  /** One of the target's `django.reports`, exactly as written there. */
  name: z
    .string()
    .max(200)
    .regex(/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$/),
  /** Passed on by name, as values: `{ minutes: 10 }`. */
  arguments: z
    .record(z.string().regex(/^[a-z][a-z0-9_]{0,62}$/), z.union([z.string().max(1_000), z.number(), z.boolean()]))
    .refine((given) => Object.keys(given).length <= 20, "must be at most 20")
    .default({}),
});

const output = z.object({
  /** What the function returned: any JSON of at most 1 MiB; what looks like a secret is removed. */
  result: z.unknown(),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const report: ObserveAction<Input, Output> = {
  name: "django.report",
  summary: "Returns what one of the target's allowed report functions tells.",
  input,
  kind: "observe",
  onHost: true,
  output,
  observe,
};

async function observe(input: Input, context: ActionContext): Promise<Observed<Output>> {
  const django = djangoOf(context);
  if ("status" in django) return django;
  if (!django.reports.includes(input.name)) {
    return lasting(`${input.name} is not among django.reports of the target ${context.target?.name}. Add it there.`);
  }
  const given: Readonly<Record<string, Json>> = input.arguments;
  const answer = await askDjango(context, { do: "report", names: [input.name], arguments: given });
  return answer.status === "failed" ? answer : { status: "observed", output: { result: redactJson(answer.value) } };
}
