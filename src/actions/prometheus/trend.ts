/** What a series did over a window: its average, extremes and slope, and its values at even distances. */

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

/** So many digits count; more would only make histories longer. */
const digits = 6;

/** The value at each of `count` times, `step` seconds apart, the first of them one step after `from`; null: none is known. */
export function evenly(samples: readonly Sample[], from: number, step: number, count: number): (number | null)[] {
  const values = Array.from({ length: count }, (): number | null => null);
  for (const [time, value] of samples) {
    const at = Math.round((time - from) / step) - 1;
    if (at >= 0 && at < count) values[at] = Number(value.toPrecision(digits));
  }
  return values;
}

function mean(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
