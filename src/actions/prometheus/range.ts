/** `prometheus.range`: what one series did over a window of hours, beside the window before it. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import { askPrometheus, longestQuery, noData } from "./ask.ts";
import { daysUntil, evenly, type Sample, trendOf } from "./trend.ts";

/** Of each window; Prometheus refuses more than 11,000 in one answer. */
const samplesPerWindow = 240;

const input = z.strictObject({
  /** PromQL that results in one series or a scalar. */
  query: z.string().trim().min(1).max(longestQuery),
  /** How long the window is that ends now; the one before it is as long. */
  hours: z.int().min(1).max(8_784).default(168),
  /** What must not be reached, such as a disk's size; `daysLeft` is then told. */
  limit: z.number().optional(),
});

const windowShape = z.object({
  average: z.number(),
  minimum: z.number(),
  maximum: z.number(),
  last: z.number(),
  slopePerDay: z.number(),
  /** The part of the window for which there are values, from 0 to 1. */
  coverage: z.number(),
  /** Evenly spread, oldest first, `stepSeconds` apart; null where there is none. */
  values: z.array(z.number().nullable()),
});

const output = windowShape.extend({
  /** RFC 3339: the time of the last of `values`. */
  endsAt: z.string(),
  stepSeconds: z.number(),
  /** The same of the window before; left out where there are no values of it. */
  before: windowShape.optional(),
  /** By how much the average differs from the one before: 0.1 is a tenth more. Left out where that is unknown or 0. */
  change: z.number().optional(),
  /** Until the trend of the window reaches `limit`; left out without one, and where the trend never does. */
  daysLeft: z.number().optional(),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

const sample = z.tuple([z.number(), z.string()]);
const answerShape = z.object({
  status: z.literal("success"),
  data: z.object({ resultType: z.literal("matrix"), result: z.array(z.object({ values: z.array(sample) })) }),
});

/** The action for the Prometheus at `url`; null where none is configured, which each use then reports. */
export function prometheusRange(url: string | null): ObserveAction<Input, Output> {
  return {
    name: "prometheus.range",
    summary: "Reads what one number in Prometheus did over a window, beside the window before it.",
    input,
    kind: "observe",
    output,
    observe: (input, context) => observe(url, input, context),
  };
}

async function observe(base: string | null, input: Input, context: ActionContext): Promise<Observed<Output>> {
  const seconds = input.hours * 3_600;
  const step = seconds / samplesPerWindow;
  const end = Math.floor(context.now() / 1_000);
  // The sample at the end of the window before belongs to it alone, so that both have as many.
  const start = end - 2 * seconds + step;
  const parameters = { query: input.query, start: String(start), end: String(end), step: String(step) };
  const answer = await askPrometheus(base, "/api/v1/query_range", parameters, context.signal, { timeoutMs: null });
  if (answer.status === "failed") return answer;
  const parsed = answerShape.safeParse(answer.body);
  if (!parsed.success) return lasting("The query results in no range of numbers, or prometheus.url is no Prometheus.");
  const { result } = parsed.data.data;
  if (result.length > 1) {
    return lasting(`The query results in ${result.length} series, not in one. Aggregate it, as in sum(…) or max(…).`);
  }
  const samples = (result[0]?.values ?? [])
    .map(([time, text]): Sample => [time, Number(text)])
    .filter(([, value]) => Number.isFinite(value));
  return compare(samples, end, seconds, input.limit);
}

function compare(
  samples: readonly Sample[],
  end: number,
  seconds: number,
  limit: number | undefined,
): Observed<Output> {
  const middle = end - seconds;
  // Prometheus gives times in milliseconds, and `step` need not be whole.
  const current = samples.filter(([time]) => time > middle + 0.001);
  const earlier = samples.filter(([time]) => time <= middle + 0.001);
  if (current.length === 0) return passing(noData);
  const step = seconds / samplesPerWindow;
  const shown = (window: readonly Sample[], from: number) => ({
    ...trendOf(window),
    coverage: Math.min(1, window.length / samplesPerWindow),
    values: evenly(window, from, step, samplesPerWindow),
  });
  const now = shown(current, middle);
  const before = earlier.length === 0 ? null : shown(earlier, middle - seconds);
  const days = limit === undefined ? null : daysUntil(limit, now, limit >= now.average);
  return {
    status: "observed",
    output: {
      ...now,
      endsAt: new Date(end * 1_000).toISOString(),
      stepSeconds: step,
      ...(before && { before }),
      ...(before && before.average !== 0 && { change: (now.average - before.average) / Math.abs(before.average) }),
      ...(days !== null && { daysLeft: days }),
    },
  };
}
