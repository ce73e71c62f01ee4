/** Who may work on a run: claiming by one conditional update that raises the fence, and keeping the lease alive. */

import type { RunEvent } from "../domain/event.ts";
import { batched } from "./batch.ts";
import { eventOf } from "./chain.ts";
import type { Database } from "./connect.ts";

/** A run in the hands of one worker, until its lease ends or another fence is given out. */
export interface ClaimedRun {
  readonly id: string;
  readonly playbook: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly dryRun: boolean;
  readonly requestedBy: string | null;
  readonly history: readonly RunEvent[];
  readonly fence: number;
  readonly lastSeq: number;
  readonly lastHash: Buffer;
  /** True where the worker before did not give it back: its lease ended. */
  readonly takenOver: boolean;
  /** The host to whose workers it was left; null: it was not. */
  readonly leftTo: string | null;
  readonly holdsTarget: boolean;
  readonly paused: boolean;
  /** The database's time, milliseconds since 1970. */
  readonly now: number;
}

export interface Claims {
  /** Null: it has ended, is not due, or another worker has it. */
  claim(runId: string): Promise<ClaimedRun | null>;
  /** Extends the leases of these runs; returns the ids of those that are still this worker's. */
  extend(runs: readonly { readonly id: string; readonly fence: number }[]): Promise<ReadonlySet<string>>;
  /** What has been written to a claimed run since, by anyone. Null: it is another worker's now. */
  reload(run: { readonly id: string; readonly fence: number }): Promise<Reloaded | null>;
}

export type Reloaded = Pick<ClaimedRun, "history" | "lastSeq" | "lastHash" | "holdsTarget" | "paused" | "now">;

export function createClaims(
  database: Database,
  options: {
    readonly worker: string;
    readonly leaseMs: number;
    /** The host whose runs this worker takes too; left out: none. */
    readonly host?: string | null;
    /** After this time, any worker takes a run that no worker of its host has taken, to say so. */
    readonly hostWaitMs?: number;
  },
): Claims {
  const { pool } = database;
  const claimNow = batched<string, ClaimedRun | null>(
    async (ids) => {
      const { rows } = await pool.query<ClaimRow>({
        name: "paramedic-claim",
        text: claimSql,
        values: [
          [...new Set(ids)],
          options.leaseMs / 1000,
          options.worker,
          options.host ?? null,
          (options.hostWaitMs ?? 120_000) / 1000,
        ],
      });
      const byId = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => {
        const row = byId.get(id);
        // Two hints of one run may share a batch: the first one gets it.
        byId.delete(id);
        return row ? claimedRun(row) : null;
      });
    },
    { lanes: 2, most: 100 },
  );
  const readAgain = async (run: { readonly id: string; readonly fence: number }): Promise<ClaimedRun | null> => {
    const { rows } = await pool.query<ClaimRow>(reloadSql, [run.id, run.fence]);
    const row = rows[0];
    return row ? claimedRun(row) : null;
  };
  return {
    claim: async (runId) => {
      const claimed = await claimNow(runId);
      // The run's row is as it was locked, its history as it was when the statement began: an answer that came in between
      // would never be seen, since nothing makes the run due once more.
      if (claimed === null || claimed.history.length === claimed.lastSeq) return claimed;
      const whole = await readAgain(claimed);
      return whole && { ...whole, takenOver: claimed.takenOver, leftTo: claimed.leftTo };
    },
    extend: async (runs) => {
      const beat = async (of: typeof runs, sql: string): Promise<readonly { id: string; extended: boolean }[]> => {
        const values = [of.map((run) => run.id), of.map((run) => run.fence), options.leaseMs / 1000];
        return (await pool.query<{ id: string; extended: boolean }>(sql, values)).rows;
      };
      const first = await beat(runs, extendSql("SKIP LOCKED"));
      const left = new Set(first.flatMap((row) => (row.extended ? [] : [row.id])));
      // A lease counts as extended only if it is: the others are waited for, apart from those that need no waiting.
      const second =
        left.size > 0
          ? await beat(
              runs.filter((run) => left.has(run.id)),
              extendSql(""),
            )
          : [];
      return new Set([...first, ...second].flatMap((row) => (row.extended ? [row.id] : [])));
    },
    reload: readAgain,
  };
}

interface ClaimRow {
  readonly id: string;
  readonly playbook: string;
  readonly playbook_hash: string;
  readonly target: string;
  readonly dry_run: boolean;
  readonly requested_by: string | null;
  readonly fence: number;
  readonly last_seq: number;
  readonly last_hash: Buffer;
  readonly taken_over: boolean;
  readonly host: string | null;
  readonly holds_target: boolean;
  readonly paused: boolean;
  readonly now: Date;
  readonly history: readonly object[];
}

function claimedRun(row: ClaimRow): ClaimedRun {
  return {
    id: row.id,
    playbook: row.playbook,
    playbookHash: row.playbook_hash,
    target: row.target === "" ? null : row.target,
    dryRun: row.dry_run,
    requestedBy: row.requested_by,
    history: row.history.map((event, index) => eventOf(index + 1, event)),
    fence: row.fence,
    lastSeq: row.last_seq,
    lastHash: row.last_hash,
    takenOver: row.taken_over,
    leftTo: row.host,
    holdsTarget: row.holds_target,
    paused: row.paused,
    now: row.now.getTime(),
  };
}

const historySql = `(SELECT json_agg(e.event ORDER BY e.seq) FROM paramedic.run_events e WHERE e.run_id = r.id)`;

// The kill switch and the lock of the target are read in the statement that claims. A dry run changes nothing and needs no lock.
// `state || ''` keeps Postgres from the indexes of the runs that go on: where its statistics are of a time when few did, it
// takes one of them for the shorter way, and reads all that wait for each run that is claimed.
const claimSql = `
WITH due AS (
  SELECT id, lock_key, dry_run, state FROM paramedic.runs
  WHERE id = ANY($1::uuid[]) AND state || '' <> 'ended' AND due_at <= now()
    AND (lease_until IS NULL OR lease_until <= now())
    AND (host IS NULL OR host = $4 OR host_since <= now() - make_interval(secs => $5))
  FOR UPDATE SKIP LOCKED
), locked AS (
  INSERT INTO paramedic.target_locks (lock_key, run_id)
  SELECT DISTINCT ON (lock_key) lock_key, id FROM due WHERE NOT dry_run ORDER BY lock_key, id
  ON CONFLICT (lock_key) DO NOTHING
  RETURNING run_id
)
UPDATE paramedic.runs r
SET state = 'running', waiting_for = NULL, fence = r.fence + 1, worker = $3, hinted_at = NULL,
    lease_until = now() + make_interval(secs => $2), due_at = now() + make_interval(secs => $2)
FROM due
WHERE r.id = due.id
RETURNING r.id, r.playbook, r.playbook_hash, r.target, r.dry_run, r.requested_by, r.fence, r.last_seq, r.last_hash,
  due.state = 'running' AS taken_over, r.host,
  (EXISTS (SELECT FROM locked WHERE locked.run_id = r.id)
    OR r.id IS NOT DISTINCT FROM (SELECT l.run_id FROM paramedic.target_locks l WHERE l.lock_key = r.lock_key)) AS holds_target,
  paramedic.paused() AS paused, now() AS now, ${historySql} AS history`;

// Locks are taken in the order of the ids, as everybody does who waits for them.
const extendSql = (locked: "SKIP LOCKED" | ""): string => `
WITH held AS (SELECT * FROM unnest($1::uuid[], $2::int[]) AS h(id, fence)),
free AS (
  SELECT r.id FROM paramedic.runs r JOIN held h ON h.id = r.id AND h.fence = r.fence
  WHERE r.state = 'running' ORDER BY r.id FOR UPDATE OF r ${locked}
), extended AS (
  UPDATE paramedic.runs r
  SET lease_until = now() + make_interval(secs => $3), due_at = now() + make_interval(secs => $3)
  WHERE r.id IN (SELECT id FROM free)
  RETURNING r.id
)
SELECT h.id, h.id IN (SELECT id FROM extended) AS extended
FROM held h JOIN paramedic.runs r ON r.id = h.id AND r.fence = h.fence AND r.state = 'running'`;

const reloadSql = `
SELECT r.id, r.playbook, r.playbook_hash, r.target, r.dry_run, r.requested_by, r.fence, r.last_seq, r.last_hash,
  false AS taken_over, r.host,
  EXISTS (SELECT FROM paramedic.target_locks l WHERE l.lock_key = r.lock_key AND l.run_id = r.id) AS holds_target,
  paramedic.paused() AS paused, now() AS now, ${historySql} AS history
FROM paramedic.runs r WHERE r.id = $1 AND r.fence = $2 AND r.state = 'running'`;
