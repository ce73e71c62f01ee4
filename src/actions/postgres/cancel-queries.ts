/** `postgres.cancel-queries`: cancels the queries that have been running too long, exactly those that were planned. */

import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { cancellable } from "./cancellable.ts";
import { type Query, withClient } from "./connect.ts";
import { columns, describeSession, exactTime, type PlannedQuery, pids, type ShownSession } from "./planned-query.ts";
import { showQuery } from "./query-text.ts";
import { missingRights } from "./rights.ts";

const settleMs = 5_000;
/** The first waits are short, since most queries end at once. */
const firstPollMs = 10;
const longestPollMs = 100;

const input = z.strictObject({
  /** Queries that have been running longer than this are cancelled. */
  olderThanSeconds: z.int().min(1).max(31_536_000),
  /** At most so many, the longest-running first. */
  atMost: z.int().min(1).max(1_000).default(20),
});

type Input = z.output<typeof input>;

/** Which queries are cancelled, the longest-running first: what identifies them and nothing that changes with time. */
export type CancelPlan = { readonly queries: readonly PlannedQuery[] };

interface Found extends PlannedQuery, ShownSession {
  readonly since: string;
  readonly matched: number;
}

export const cancelQueries: ChangeAction<Input, CancelPlan> = {
  name: "postgres.cancel-queries",
  summary: "Cancels the queries of allowed users that have been running longer than a limit.",
  input,
  kind: "change",
  risk: "low",
  repeat: "safe",
  plan,
  apply,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<CancelPlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<CancelPlan>> => {
    const missing = await missingRights(query, postgres, "cancel");
    if (missing) return missing;
    const found = await findQueries(query, postgres, input);
    const matched = found[0]?.matched ?? 0;
    if (matched > found.length) {
      context.log.info({ matched, planned: found.length }, "more queries match than may be cancelled at once");
    }
    return {
      status: "planned",
      plan: { queries: found.map(({ pid, backendStart, queryStart }) => ({ pid, backendStart, queryStart })) },
      effects: found.map(describeEffect),
    };
  });
}

function findQueries(query: Query, postgres: PostgresTarget, input: Input): Promise<Found[]> {
  return query<Found>(
    `SELECT a.pid, ${exactTime("a.backend_start")} AS "backendStart", ${exactTime("a.query_start")} AS "queryStart",
            a.usename::text AS user, a.datname::text AS database, a.application_name AS application, a.query,
            to_char(a.query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since,
            (count(*) OVER ())::int AS matched
       FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
      WHERE ${cancellable}
        AND clock_timestamp() - a.query_start > make_interval(secs => $3)
      ORDER BY a.query_start, a.pid
      LIMIT $4`,
    [postgres.users, postgres.databases, input.olderThanSeconds, input.atMost],
  );
}

function describeEffect(found: Found): string {
  return `cancel pid ${found.pid} (${describeSession(found)}), running since ${found.since} UTC: ${showQuery(found.query)}`;
}

async function apply(plan: CancelPlan, context: ActionContext): Promise<Outcome> {
  let asked = false;
  const outcome = await withClient(context, async (query, postgres): Promise<Outcome> => {
    const missing = await missingRights(query, postgres, "cancel");
    if (missing) return missing;
    asked = true;
    const sent = await cancelAsPlanned(query, postgres, plan);
    const gone = plan.queries.filter((planned) => !sent.includes(planned));
    const stillRunning = await waitUntilGone(query, sent, context.signal);
    if (stillRunning.length > 0) return stillRunningFailure(stillRunning, sent.length, context.signal);
    return { status: "done", result: { cancelled: pids(sent), gone: pids(gone), stillRunning: [] } };
  });
  if (!asked || outcome.status !== "failed" || !outcome.retryable) return outcome;
  return { status: "unknown", reason: `Cancelling was asked for, but not whether it happened: ${outcome.reason}` };
}

/** Sends the cancel to those planned queries that still run as planned and may still be cancelled; returns these. */
async function cancelAsPlanned(
  query: Query,
  postgres: PostgresTarget,
  plan: CancelPlan,
): Promise<readonly PlannedQuery[]> {
  const sent = await query<{ pid: number }>(
    `WITH planned AS (
       SELECT * FROM unnest($3::int[], $4::timestamptz[], $5::timestamptz[]) AS p (pid, backend_start, query_start)
     ), allowed AS MATERIALIZED (
       SELECT a.pid FROM planned p
         JOIN pg_stat_activity a USING (pid, backend_start, query_start)
         JOIN pg_roles r ON r.oid = a.usesysid
        WHERE ${cancellable}
     ), sent AS MATERIALIZED (
       SELECT pid, pg_cancel_backend(pid) AS sent FROM allowed
     )
     SELECT pid FROM sent WHERE sent`,
    [postgres.users, postgres.databases, ...columns(plan.queries)],
  );
  const reached = new Set(sent.map(({ pid }) => pid));
  return plan.queries.filter(({ pid }) => reached.has(pid));
}

/** A cancel that was sent is not yet one that happened: reads again until the queries end. Returns those that do not. */
async function waitUntilGone(
  query: Query,
  sent: readonly PlannedQuery[],
  signal: AbortSignal,
): Promise<readonly PlannedQuery[]> {
  let left = sent;
  let pollMs = firstPollMs;
  for (let waited = 0; left.length > 0; waited += pollMs) {
    if (waited > 0) pollMs = Math.min(pollMs * 2, longestPollMs);
    const running = await query<{ pid: number }>(
      `SELECT pid FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS p (pid, backend_start, query_start)
         JOIN pg_stat_activity a USING (pid, backend_start, query_start) WHERE a.state = 'active'`,
      columns(left),
    );
    left = left.filter(({ pid }) => running.some((row) => row.pid === pid));
    if (left.length === 0 || waited >= settleMs || signal.aborted) return left;
    await pause(pollMs, undefined, { signal }).catch(() => undefined);
  }
  return left;
}

function stillRunningFailure(left: readonly PlannedQuery[], sent: number, signal: AbortSignal): Failure {
  const after = signal.aborted ? "when the step was stopped" : `${settleMs / 1_000} s later`;
  return {
    status: "failed",
    reason:
      `A cancel was sent to ${sent} queries, but ${left.length} still ran ${after} (pid ${pids(left).join(", ")}). ` +
      "Some code does not react to a cancel: look at these sessions, or terminate them.",
    retryable: false,
  };
}
