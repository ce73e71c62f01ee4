/** Durations as people write them in YAML (`90s`, `10m`, `2h`, `7d`) and as the program counts them: milliseconds. */

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const longestMs = 366 * 86_400_000;

/** Milliseconds of a duration such as `90s`, `10m`, `2h` or `7d`; null where the text is none or exceeds 366 days. */
export function parseDuration(text: string): number | null {
  const match = /^(\d{1,8})(s|m|h|d)$/.exec(text);
  if (!match) return null;
  const ms = Number(match[1]) * (unitMs[match[2] as string] as number);
  return ms <= longestMs ? ms : null;
}

/** A duration in words, rounded down: `45 seconds`, `12 minutes`, `3 hours 20 minutes`, `2 days 4 hours`. */
export function sayDuration(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const parts = [
    ["day", Math.floor(seconds / 86_400)],
    ["hour", Math.floor(seconds / 3_600) % 24],
    ["minute", Math.floor(seconds / 60) % 60],
    ["second", seconds % 60],
  ] as const;
  const first = parts.findIndex(([, number]) => number > 0);
  if (first < 0) return "0 seconds";
  // Nobody needs the seconds of what takes minutes.
  const said = parts.slice(first, first < 2 ? first + 2 : first + 1).filter(([, number]) => number > 0);
  return said.map(([unit, number]) => `${number} ${unit}${number === 1 ? "" : "s"}`).join(" ");
}

/** The shortest exact form of a duration in milliseconds: `90000` is `90s`, `7200000` is `2h`. Fractions of a second are rounded. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  for (const [unit, size] of [
    ["d", 86_400],
    ["h", 3_600],
    ["m", 60],
  ] as const) {
    if (seconds >= size && seconds % size === 0) return `${seconds / size}${unit}`;
  }
  return `${seconds}s`;
}
