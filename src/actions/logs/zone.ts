/** Turns a date and a time of day as a log file writes them into milliseconds since 1970. */

const hourMs = 3_600_000;

/** Knows a zone's distance from UTC, and remembers it hour by hour. */
export type Zone = (utc: number) => number;

/** The zone of this name, or of this host where it is left out. Returns what is to be subtracted, in milliseconds. */
export function zoneOf(timeZone: string | undefined): Zone {
  const format = new Intl.DateTimeFormat("en-US", {
    ...(timeZone !== undefined && { timeZone }),
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  const known = new Map<number, number>();
  const at = (utc: number): number => {
    const parts = Object.fromEntries(format.formatToParts(utc).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(utc / 1_000) * 1_000;
  };
  return (local) => {
    const hour = Math.floor(local / (hourMs / 4));
    const before = known.get(hour);
    if (before !== undefined) return before;
    if (known.size > 10_000) known.clear();
    // The first guess may be on the other side of a change of clocks.
    const offset = at(local - at(local));
    known.set(hour, offset);
    return offset;
  };
}
