/** Times as Alertmanager writes them (RFC 3339, to the nanosecond), made comparable: UTC, to the microsecond. */

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;

/** Go's zero time, which stands for "no time". */
const zeroTime = -62_135_596_800_000;

/**
 * A time in UTC with six decimals, as precise as Postgres keeps it, further decimals cut off: equal instants are equal
 * texts, and texts sort like instants. `zero` for Go's zero time, null for what is no time.
 */
export function normalizeTime(text: unknown): string | "zero" | null {
  // Every firing alert has this one: it is worth not being taken apart.
  if (text === "0001-01-01T00:00:00Z") return "zero";
  if (typeof text !== "string" || text.length > 40) return null;
  const match = rfc3339.exec(text);
  if (!match) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (hour > 23 || minute > 59 || second > 59) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  const offset = offsetMinutes(match[8], match[9], match[10]);
  if (offset === null) return null;
  const ms = date.setUTCHours(hour, minute - offset, second);
  if (ms === zeroTime) return "zero";
  if (date.getUTCFullYear() < 1 || date.getUTCFullYear() > 9999) return null;
  return `${date.toISOString().slice(0, 19)}.${(match[7] ?? "").slice(0, 6).padEnd(6, "0")}Z`;
}

function offsetMinutes(
  sign: string | undefined,
  hours: string | undefined,
  minutes: string | undefined,
): number | null {
  if (sign === undefined) return 0;
  if (Number(hours) > 23 || Number(minutes) > 59) return null;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
}
