/** What identifies one query of one session, exactly enough that nothing else is ever taken for it. */

import { shorten } from "./query-text.ts";

/** One query of one session. The times are text in UTC with microseconds: a Date would lose them and never match. */
export type PlannedQuery = { readonly pid: number; readonly backendStart: string; readonly queryStart: string };

/** Whose session it is, for people. */
export interface ShownSession {
  readonly user: string;
  readonly database: string;
  readonly application: string;
  readonly query: string;
}

/** SQL for a time as it stands in a plan. */
export function exactTime(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

export function describeSession({ user, database, application }: ShownSession): string {
  const program = application === "" ? "" : `, application ${shorten(application, 63)}`;
  return `user ${shorten(user, 63)}, database ${shorten(database, 63)}${program}`;
}

/** The plans' fields as arrays, for unnest. */
export function columns(queries: readonly PlannedQuery[]): [number[], string[], string[]] {
  return [
    queries.map(({ pid }) => pid),
    queries.map(({ backendStart }) => backendStart),
    queries.map(({ queryStart }) => queryStart),
  ];
}

export function pids(queries: readonly PlannedQuery[]): number[] {
  return queries.map(({ pid }) => pid);
}
