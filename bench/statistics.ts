/** Medians and quantiles of measured numbers. */

/** The value below which the share `q` (0 to 1) of the values lies; NaN where there are none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** The middle value: what a round that was disturbed does not move. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
