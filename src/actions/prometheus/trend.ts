/** What a series did over a window: its average, extremes and slope, and a plot that is one line of text. */

/** Seconds since 1970, and the value then. */
export type Sample = readonly [number, number];

export interface Trend {
  readonly average: number;
  readonly minimum: number;
  readonly maximum: number;
  /** The newest value. */
  readonly last: number;
  /** Of the straight line that fits best; 0 where there are fewer than two samples. */
  readonly slopePerDay: number;
}

const secondsPerDay = 86_400;

/** The trend of at least one sample. */
export function trendOf(samples: readonly Sample[]): Trend {
  const values = samples.map(([, value]) => value);
  const meanTime = mean(samples.map(([time]) => time));
  const average = mean(values);
  let [together, alone] = [0, 0];
  for (const [time, value] of samples) {
    together += (time - meanTime) * (value - average);
    alone += (time - meanTime) ** 2;
  }
  return {
    average,
    minimum: Math.min(...values),
    maximum: Math.max(...values),
    last: values.at(-1) as number,
    slopePerDay: alone === 0 ? 0 : (together / alone) * secondsPerDay,
  };
}

/** Days until the trend reaches `limit`: 0 where it is there already, null where it moves away or stands still. */
export function daysUntil(limit: number, { last, slopePerDay }: Trend, rises: boolean): number | null {
  if (rises ? last >= limit : last <= limit) return 0;
  if (rises ? slopePerDay <= 0 : slopePerDay >= 0) return null;
  return (limit - last) / slopePerDay;
}

const bars = "▁▂▃▄▅▆▇█";
const flat = "▄";

/**
 * One character for each of `width` equal parts of the time from `from` to `to` (seconds since 1970): the average there,
 * between `lowest` and `highest`. A dot where there are no samples.
 */
export function plotOf(
  samples: readonly Sample[],
  width: number,
  { from, to }: { readonly from: number; readonly to: number },
  { lowest, highest }: { readonly lowest: number; readonly highest: number },
): string {
  const parts = Array.from({ length: width }, (): number[] => []);
  for (const [time, value] of samples) {
    const part = Math.floor(((time - from) / (to - from)) * width);
    parts[Math.min(width - 1, Math.max(0, part))]?.push(value);
  }
  const bar = (value: number) =>
    bars[Math.min(bars.length - 1, Math.floor(((value - lowest) / (highest - lowest)) * bars.length))] as string;
  return parts.map((values) => (values.length === 0 ? "·" : highest > lowest ? bar(mean(values)) : flat)).join("");
}

function mean(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
