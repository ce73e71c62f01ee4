/** Tells an absent database from one that refuses: only the first is worth waiting for. */

/**
 * SQLSTATE classes 08, 53 and 57; anything without an SQLSTATE is not an answer of Postgres (`EPIPE` looks like one, but
 * each SQLSTATE has a digit), unless it is a bug of ours.
 */
export function isOutage(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return false;
  const code = (error as { code?: unknown }).code;
  return typeof code !== "string" || !/^(?=.*\d)[0-9A-Z]{5}$/.test(code) || /^(08|53|57)/.test(code);
}
