/** `postgres.terminate-sessions`: ends sessions that run or sit in a transaction too long, exactly those that were planned. */

import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { ActionContext, ChangeAction, Outcome, Planned } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { cancellable, idleInTransaction } from "./cancellable.ts";
import { type Query, withClient } from "./connect.ts";
import { columns, describeSession, exactTime, type PlannedQuery, pids, type ShownSession } from "./planned-query.ts";
import { showQuery } from "./query-text.ts";
import { missingRights } from "./rights.ts";

const settleMs = 10_000;
const pollMs = 100;

const input = z.strictObject({
  /** Sessions whose query has run, or whose transaction has been idle, for longer than this are ended. */
  olderThanSeconds: z.int().min(1).max(31_536_000),
  /** At most so many, the longest first. */
  atMost: z.int().min(1).max(1_000).default(20),
  /** Which sessions: those that run a query, those that are idle in a transaction, or both. */
  state: z.enum(["active", "idle-in-transaction", "any"]).default("any"),
});

type Input = z.output<typeof input>;

type PlannedSession = PlannedQuery & { readonly idle: boolean };

/** Which sessions are ended, the longest first. One that has gone on to another query is no longer as planned. */
export type TerminatePlan = { readonly sessions: readonly PlannedSession[] };

interface Found extends PlannedSession, ShownSession {
  readonly since: string;
  readonly matched: number;
}

export const terminateSessions: ChangeAction<Input, TerminatePlan> = {
  name: "postgres.terminate-sessions",
  summary: "Ends sessions of allowed users whose query runs, or whose transaction is idle, longer than a limit.",
  input,
  kind: "change",
  risk: "high",
  repeat: "once",
  plan,
  apply,
  probe,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<TerminatePlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<TerminatePlan>> => {
    const missing = await missingRights(query, postgres, "cancel");
    if (missing) return missing;
    const found = await findSessions(query, postgres, input);
    const matched = found[0]?.matched ?? 0;
    if (matched > found.length) {
      context.log.info({ matched, planned: found.length }, "more sessions match than may be ended at once");
    }
    return {
      status: "planned",
      plan: {
        sessions: found.map(({ pid, backendStart, queryStart, idle }) => ({ pid, backendStart, queryStart, idle })),
      },
      effects: found.map(describeEffect),
    };
  });
}

function findSessions(query: Query, postgres: PostgresTarget, input: Input): Promise<Found[]> {
  return query<Found>(
    `WITH found AS (
       SELECT a.*, false AS idle, a.query_start AS since FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
        WHERE $5 <> 'idle-in-transaction' AND ${cancellable}
        UNION ALL
       SELECT a.*, true AS idle, a.state_change AS since FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
        WHERE $5 <> 'active' AND ${idleInTransaction}
     )
     SELECT pid, ${exactTime("backend_start")} AS "backendStart", ${exactTime("query_start")} AS "queryStart", idle,
            usename::text AS user, datname::text AS database, application_name AS application, query,
            to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since,
            (count(*) OVER ())::int AS matched
       FROM found WHERE clock_timestamp() - since > make_interval(secs => $3)
      ORDER BY found.since, pid LIMIT $4`,
    [postgres.users, postgres.databases, input.olderThanSeconds, input.atMost, input.state],
  );
}

function describeEffect(found: Found): string {
  const since = found.idle
    ? `idle in a transaction since ${found.since} UTC, last`
    : `running since ${found.since} UTC`;
  const end = `end the session of pid ${found.pid} (${describeSession(found)}) and roll back what it has not committed`;
  return `${end}, ${since}: ${showQuery(found.query)}`;
}

async function apply(plan: TerminatePlan, context: ActionContext): Promise<Outcome> {
  let asked = false;
  const outcome = await withClient(context, async (query, postgres): Promise<Outcome> => {
    const missing = await missingRights(query, postgres, "cancel");
    if (missing) return missing;
    asked = true;
    const sent = await terminateAsPlanned(query, postgres, plan);
    const gone = plan.sessions.filter((planned) => !sent.includes(planned));
    const left = await waitUntilGone(query, sent, context.signal);
    if (left.length === 0) return { status: "done", result: { terminated: pids(sent), gone: pids(gone) } };
    return {
      status: "failed",
      reason:
        `${sent.length} sessions were told to end, but ${left.length} are still there (pid ${pids(left).join(", ")}). ` +
        "A session that waits for a disk or network of the server's own cannot be ended: look at the server.",
      retryable: false,
    };
  });
  if (!asked || outcome.status !== "failed" || !outcome.retryable) return outcome;
  return { status: "unknown", reason: `Sessions were told to end, but not whether they did: ${outcome.reason}` };
}

/** Ends those planned sessions that are as planned and may still be ended; returns these. */
async function terminateAsPlanned(
  query: Query,
  postgres: PostgresTarget,
  plan: TerminatePlan,
): Promise<readonly PlannedSession[]> {
  const planned = `planned AS (
       SELECT * FROM unnest($3::int[], $4::timestamptz[], $5::timestamptz[], $6::boolean[])
         AS p (pid, backend_start, query_start, idle)
     )`;
  const sent = await query<{ pid: number }>(
    `WITH ${planned}, allowed AS MATERIALIZED (
       SELECT a.pid FROM planned p
         JOIN pg_stat_activity a USING (pid, backend_start, query_start)
         JOIN pg_roles r ON r.oid = a.usesysid
        WHERE CASE WHEN p.idle THEN ${idleInTransaction} ELSE ${cancellable} END
     ), sent AS MATERIALIZED (
       SELECT pid, pg_terminate_backend(pid) AS sent FROM allowed
     )
     SELECT pid FROM sent WHERE sent`,
    [postgres.users, postgres.databases, ...columns(plan.sessions), plan.sessions.map(({ idle }) => idle)],
  );
  const reached = new Set(sent.map(({ pid }) => pid));
  return plan.sessions.filter(({ pid }) => reached.has(pid));
}

/** Reads again until the sessions are gone, at most ten seconds. Returns those that are not. */
async function waitUntilGone(
  query: Query,
  sent: readonly PlannedSession[],
  signal: AbortSignal,
): Promise<readonly PlannedSession[]> {
  let left = sent;
  for (let waited = 0; left.length > 0; waited += pollMs) {
    const there = await stillThere(query, left);
    left = left.filter(({ pid }) => there.includes(pid));
    if (left.length === 0 || waited >= settleMs || signal.aborted) return left;
    await pause(pollMs, undefined, { signal }).catch(() => undefined);
  }
  return left;
}

async function stillThere(query: Query, sessions: readonly PlannedSession[]): Promise<readonly number[]> {
  const [pid, backendStart] = columns(sessions);
  const there = await query<{ pid: number }>(
    `SELECT pid FROM unnest($1::int[], $2::timestamptz[]) AS p (pid, backend_start)
       JOIN pg_stat_activity a USING (pid, backend_start)`,
    [pid, backendStart],
  );
  return there.map((row) => row.pid);
}

/** All gone: applied. All there: not. Some of each: some may have gone by themselves, so it cannot be told. */
async function probe(plan: TerminatePlan, context: ActionContext): Promise<"applied" | "not-applied" | "unknown"> {
  const there = await withClient(context, (query) => stillThere(query, plan.sessions));
  if ("status" in there) return "unknown";
  if (there.length === 0) return "applied";
  return there.length === plan.sessions.length ? "not-applied" : "unknown";
}
