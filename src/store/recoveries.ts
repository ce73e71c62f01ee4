/** Runs that were handed over and whose alert has resolved since: when to measure once more, and what came of it. */

import type { RunEvent } from "../domain/event.ts";
import { eventOf } from "./chain.ts";
import { type Database, inTransaction } from "./connect.ts";
import { appendFromOutside } from "./outside.ts";

/** A run that may have recovered, in the hands of one worker until its lease ends. */
export interface PossibleRecovery {
  readonly runId: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly history: readonly RunEvent[];
  /** How often it was measured before. */
  readonly rechecks: number;
}

export interface Recoveries {
  /**
   * Takes those that are due and whose run has ended, for `leaseMs`; none while the kill switch is on, and of those that a
   * worker of some host must measure only those of `host`.
   */
  take(leaseMs: number, host?: string | null): Promise<readonly PossibleRecovery[]>;
  /** Leaves it to a worker of this host. */
  leaveTo(runId: string, host: string): Promise<void>;
  /** The checks hold: nobody need be told any more. */
  recovered(runId: string, reason: string): Promise<void>;
  /** They do not. `againMs`: measured again after that time; null: not any more. `tell`: the run's history says so. */
  notYet(runId: string, reason: string, againMs: number | null, tell: boolean): Promise<void>;
}

export function createRecoveries(database: Database): Recoveries {
  const { pool } = database;
  return {
    leaveTo: async (runId, host) => {
      await pool.query(
        "UPDATE paramedic.escalations SET recheck_host = $2, recheck_at = now() WHERE run_id = $1 AND recheck_at IS NOT NULL",
        [runId, host],
      );
    },
    take: async (leaseMs, host = null) => {
      const { rows } = await pool.query<{
        run_id: string;
        playbook_hash: string;
        target: string;
        rechecks: number;
        history: readonly object[];
      }>(takeSql, [leaseMs / 1000, host]);
      return rows.map((row) => ({
        runId: row.run_id,
        playbookHash: row.playbook_hash,
        target: row.target === "" ? null : row.target,
        history: row.history.map((event, index) => eventOf(index + 1, event)),
        rechecks: row.rechecks,
      }));
    },
    recovered: (runId, reason) =>
      inTransaction(pool, async (client) => {
        await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [runId]);
        const { rowCount } = await client.query(
          `UPDATE paramedic.escalations SET recovered_at = now(), recheck_at = NULL, due_at = NULL
           WHERE run_id = $1 AND recheck_at IS NOT NULL AND recovered_at IS NULL`,
          [runId],
        );
        if (!rowCount) return;
        const told = (happening: Parameters<typeof appendFromOutside>[1][number]["happening"]) =>
          appendFromOutside(client, [{ runId, happening }], { evenEnded: true });
        await told({ type: "recovery-checked", passed: true, reason: null });
        await told({ type: "recovered", reason });
        await client.query(
          `UPDATE paramedic.mitigations SET revert_at = now(), reason = $2
           WHERE run_id = $1 AND state = 'in-force' AND 'verified' = ANY(revert_on)`,
          [runId, reason],
        );
      }),
    notYet: (runId, reason, againMs, tell) =>
      inTransaction(pool, async (client) => {
        await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [runId]);
        const { rowCount } = await client.query(
          `UPDATE paramedic.escalations
           SET rechecks = rechecks + 1, recheck_at = CASE WHEN $2::float8 IS NOT NULL THEN now() + make_interval(secs => $2) END
           WHERE run_id = $1 AND recheck_at IS NOT NULL`,
          [runId, againMs === null ? null : againMs / 1000],
        );
        if (!rowCount || !tell) return;
        const happening = { type: "recovery-checked", passed: false, reason } as const;
        await appendFromOutside(client, [{ runId, happening }], { evenEnded: true });
      }),
  };
}

const takeSql = `
WITH taken AS (
  UPDATE paramedic.escalations SET recheck_at = now() + make_interval(secs => $1)
  WHERE run_id IN (
    SELECT e.run_id FROM paramedic.escalations e JOIN paramedic.runs r ON r.id = e.run_id
    WHERE e.recheck_at <= now() AND r.state = 'ended' AND (e.recheck_host IS NULL OR e.recheck_host = $2)
      AND NOT paramedic.paused()
    ORDER BY e.recheck_at LIMIT 10 FOR UPDATE OF e SKIP LOCKED)
  RETURNING run_id, rechecks
)
SELECT t.run_id, t.rechecks, r.playbook_hash, r.target,
  (SELECT json_agg(e.event ORDER BY e.seq) FROM paramedic.run_events e WHERE e.run_id = r.id) AS history
FROM taken t JOIN paramedic.runs r ON r.id = t.run_id`;
