/** Series for a Prometheus that is to have known the application for months. */

const day = 86_400;

/** What is younger than three hours cannot be told to a Prometheus afterwards. */
export const newestKnown = Math.floor(Date.now() / 1_000) - 3 * 3_600;

/** Seconds since 1970 and a value, every `stepSeconds` of the last `days` until three hours ago; none where `value` is null. */
export function series(
  days: number,
  stepSeconds: number,
  value: (daysAgo: number) => number | null,
): readonly (readonly [number, number])[] {
  return Array.from(
    { length: (days * day) / stepSeconds },
    (_, at) => newestKnown - days * day + at * stepSeconds,
  ).flatMap((time) => {
    const known = value((newestKnown + 3 * 3_600 - time) / day);
    return known === null ? [] : [[time, known] as const];
  });
}
