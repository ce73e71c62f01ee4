/** The database's clock, carried on between two answers of the database by this machine's monotonic one. */

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** RFC 3339 in UTC with milliseconds. */
  stamp(): string;
}

/** A clock that reads `databaseNow` at this moment. A wrong or jumping wall clock of this machine does not touch it. */
export function clockFrom(databaseNow: number): Clock {
  const startedAt = performance.now();
  const now = () => Math.round(databaseNow + performance.now() - startedAt);
  return { now, stamp: () => new Date(now()).toISOString() };
}
