/** `postgres.activity`: how busy a database is, how long its longest query and transaction run, and who blocks whom. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { type Query, withClient } from "./connect.ts";
import { missingRights } from "./rights.ts";

const mostBlockers = 100;

const input = z.strictObject({});

const blocker = z.object({
  /** The session that waits. */
  pid: z.int(),
  user: z.string(),
  waitingSeconds: z.number(),
  /** A session it waits for directly; 0 is a prepared transaction. */
  blockedBy: z.int(),
  /** The session at the end of that chain: cancelling any other one helps nobody. */
  rootBlocker: z.int(),
  /** Empty for a prepared transaction. */
  rootUser: z.string(),
  rootState: z.string(),
});

const output = z.object({
  /** Client connections to the whole server, Paramedic's own included: this is what `maxConnections` limits. */
  connections: z.int(),
  maxConnections: z.int(),
  /** Sessions of allowed users in allowed databases, as all that follows. */
  active: z.int(),
  idleInTransaction: z.int(),
  /** Active sessions that wait for a lock. */
  waiting: z.int(),
  /** The longest-running active query; 0 where there is none. */
  longestSeconds: z.number(),
  /** The longest open transaction, active or idle; 0 where there is none. */
  longestTransactionSeconds: z.number(),
  /** Who waits for whom, the longest wait first, at most 100. */
  blockers: z.array(blocker),
});

type Output = z.output<typeof output>;
type Blocker = z.output<typeof blocker>;

export const activity: ObserveAction<Record<string, never>, Output> = {
  name: "postgres.activity",
  summary: "Reads how many sessions are active, how long the longest query and transaction run, and who blocks whom.",
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(_input: Record<string, never>, context: ActionContext): Promise<Observed<Output>> {
  return withClient(context, async (query, postgres): Promise<Observed<Output>> => {
    const missing = await missingRights(query, postgres, "see");
    if (missing) return missing;
    const counts = await count(query, postgres);
    const blockers = counts.waiting > 0 ? await readBlockers(query, postgres) : [];
    return { status: "observed", output: { ...counts, blockers } };
  });
}

async function count(query: Query, postgres: PostgresTarget): Promise<Omit<Output, "blockers">> {
  const [counts] = await query<Omit<Output, "blockers">>(
    `WITH clients AS (
       SELECT a.*, a.usename::text = ANY($1::text[]) AND a.datname::text = ANY($2::text[])
                   AND a.pid <> pg_backend_pid() AND a.application_name !~* '^paramedic' AS allowed
         FROM pg_stat_activity a WHERE a.backend_type = 'client backend'
     )
     SELECT count(*)::int AS connections,
            current_setting('max_connections')::int AS "maxConnections",
            (count(*) FILTER (WHERE allowed AND state = 'active'))::int AS active,
            (count(*) FILTER (WHERE allowed AND state LIKE 'idle in transaction%'))::int AS "idleInTransaction",
            (count(*) FILTER (WHERE allowed AND state = 'active' AND wait_event_type = 'Lock'))::int AS waiting,
            ${longest("query_start", "state = 'active'")} AS "longestSeconds",
            ${longest("xact_start", "true")} AS "longestTransactionSeconds"
       FROM clients`,
    [postgres.users, postgres.databases],
  );
  if (!counts) throw new Error("The statement that counts sessions returned no row.");
  return counts;
}

function longest(since: string, condition: string): string {
  const seconds = `extract(epoch FROM clock_timestamp() - min(${since}) FILTER (WHERE allowed AND ${condition}))`;
  return `greatest(0, round(coalesce(${seconds}, 0), 3))::float8`;
}

/** Follows each wait to its root. In a circle of waits, which the server breaks by itself, the last one before it closes. */
async function readBlockers(query: Query, postgres: PostgresTarget): Promise<Blocker[]> {
  return query<Blocker>(
    `WITH RECURSIVE waits AS MATERIALIZED (
       SELECT DISTINCT w.pid, b.pid AS by
         FROM (SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' LIMIT 1000) w
        CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b (pid)
     ), chain AS (
       SELECT pid, by, by AS root, ARRAY[pid, by] AS seen FROM waits
        UNION ALL
       SELECT c.pid, c.by, n.by, c.seen || n.by
         FROM chain c
         JOIN LATERAL (SELECT min(by) AS by FROM waits WHERE waits.pid = c.root) n ON n.by <> ALL (c.seen)
     ), roots AS (
       SELECT DISTINCT ON (pid, by) pid, by, root FROM chain ORDER BY pid, by, cardinality(seen) DESC
     )
     SELECT a.pid, a.usename::text AS user, o.by AS "blockedBy", o.root AS "rootBlocker",
            greatest(0, round(extract(epoch FROM clock_timestamp() - a.query_start), 3))::float8 AS "waitingSeconds",
            coalesce(r.usename::text, '') AS "rootUser", coalesce(r.state, '') AS "rootState"
       FROM roots o
       JOIN pg_stat_activity a ON a.pid = o.pid
       LEFT JOIN pg_stat_activity r ON r.pid = o.root
      WHERE a.usename::text = ANY($1::text[]) AND a.datname::text = ANY($2::text[])
      ORDER BY a.query_start, a.pid, o.by
      LIMIT ${mostBlockers}`,
    [postgres.users, postgres.databases],
  );
}
