/** `prometheus.query`: one number from an instant query to the configured Prometheus. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import { askPrometheus, longestQuery, noData } from "./ask.ts";

const input = z.strictObject({
  /** PromQL that results in one series or a scalar. */
  query: z.string().trim().min(1).max(longestQuery),
});

const output = z.object({ value: z.number() });

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

// A time and a value, which Prometheus writes as text since JSON has no NaN and no infinity.
const sample = z.tuple([z.number(), z.string()]);
const answerShape = z.object({
  status: z.literal("success"),
  data: z.discriminatedUnion("resultType", [
    z.object({ resultType: z.literal("vector"), result: z.array(z.object({ value: sample })) }),
    z.object({ resultType: z.literal("scalar"), result: sample }),
  ]),
});

/** The action for the Prometheus at `url`; null where none is configured, which each use then reports. */
export function prometheusQuery(url: string | null): ObserveAction<Input, Output> {
  return {
    name: "prometheus.query",
    summary: "Reads one number from an instant query to Prometheus.",
    input,
    kind: "observe",
    output,
    observe: (input, context) => observe(url, input, context),
  };
}

async function observe(base: string | null, input: Input, context: ActionContext): Promise<Observed<Output>> {
  const answer = await askPrometheus(base, "/api/v1/query", { query: input.query, timeout: "9s" }, context.signal);
  return answer.status === "failed" ? answer : readValue(answer.body);
}

function readValue(body: unknown): Observed<Output> {
  const answer = answerShape.safeParse(body);
  if (!answer.success) {
    return lasting("The query results in no instant vector and no scalar, or prometheus.url is no Prometheus.");
  }
  const { data } = answer.data;
  if (data.resultType === "vector" && data.result.length > 1) {
    const count = data.result.length;
    return lasting(`The query results in ${count} series, not in one. Aggregate it, as in sum(…) or max(…).`);
  }
  const text = data.resultType === "scalar" ? data.result[1] : data.result[0]?.value[1];
  if (text === undefined) {
    return passing(noData);
  }
  const value = Number(text);
  if (!Number.isFinite(value)) return passing(`The query results in ${text}, which is no number to compare with.`);
  return { status: "observed", output: { value } };
}
