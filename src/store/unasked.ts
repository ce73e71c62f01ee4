/** Approvals that could not be asked for in Slack in time: they are given to the run's escalation, once each. */

import { type Database, inTransaction } from "./connect.ts";
import { orBeginAnew } from "./escalate.ts";
import { appendFromOutside } from "./outside.ts";

/** A pending approval that nobody was asked for. */
export interface UnaskedApproval {
  readonly id: string;
  readonly runId: string;
  readonly step: string;
  readonly playbookHash: string;
}

export interface Unasked {
  /**
   * Those that have waited for longer than `afterMs` without having been asked for, at most 100, in the order of their
   * ids; with `after`, those that follow this one.
   */
  find(afterMs: number, after?: string | null): Promise<readonly UnaskedApproval[]>;
  /**
   * Tells people by `policy`; null: the playbook names none, which the run's history then says. Does nothing where it was
   * asked for, decided or escalated meanwhile; returns whether it did something.
   */
  escalate(approval: UnaskedApproval, policy: string | null, reason: string): Promise<boolean>;
}

export function createUnasked(database: Database): Unasked {
  const { pool } = database;
  return {
    find: async (afterMs, after = null) => {
      const { rows } = await pool.query<{ id: string; run_id: string; step: string; playbook_hash: string }>(
        `SELECT a.id, a.run_id, a.step, r.playbook_hash
         FROM paramedic.approvals a JOIN paramedic.runs r ON r.id = a.run_id
         WHERE a.state = 'pending' AND a.asked_at IS NULL AND a.unasked_at IS NULL AND a.expires_at > now()
           AND a.requested_at < now() - make_interval(secs => $1)
           AND a.id > coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
         ORDER BY a.id LIMIT 100`,
        [afterMs / 1000, after],
      );
      return rows.map((row) => ({
        id: row.id,
        runId: row.run_id,
        step: row.step,
        playbookHash: row.playbook_hash,
      }));
    },
    escalate: (approval, policy, reason) =>
      inTransaction(pool, async (client) => {
        await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [approval.runId]);
        const { rowCount } = await client.query(
          `UPDATE paramedic.approvals SET unasked_at = now()
           WHERE id = $1 AND state = 'pending' AND asked_at IS NULL AND unasked_at IS NULL`,
          [approval.id],
        );
        if (!rowCount) return false;
        if (policy !== null) {
          // What was to be told of an earlier question would tell how to decide what is not asked any more.
          await client.query(
            `UPDATE paramedic.outbox SET state = 'withdrawn', settled_at = now(), last_error = 'another question is asked'
             WHERE run_id = $1 AND topic = 'approval-unasked' AND state = 'waiting' AND shown_seq = 0`,
            [approval.runId],
          );
          await client.query(
            `INSERT INTO paramedic.escalations (run_id, policy, topic, about) VALUES ($1, $2, 'approval-unasked', $3) ${orBeginAnew}`,
            [approval.runId, policy, approval.id],
          );
        }
        const happening = { type: "escalated", policy, reason, topic: "approval-unasked" } as const;
        await appendFromOutside(client, [{ runId: approval.runId, happening }]);
        return true;
      }),
  };
}
