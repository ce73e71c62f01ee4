/** What people ask of runs: to start one, to cancel one. Each is one transaction, whichever door it came through. */

import { type Database, inTransaction } from "./connect.ts";
import { firstEvent, lockKeyOf, type NewRun } from "./new-run.ts";
import { appendFromOutside } from "./outside.ts";

export interface Requests {
  /**
   * Stores a run that somebody asked for. The same `idempotencyKey` by the same requester answers with the run it made
   * before; `created` tells which.
   */
  create(
    run: NewRun,
    requester: string,
    idempotencyKey: string | null,
  ): Promise<{ readonly id: string; readonly created: boolean }>;
  /** The run that this key of this requester made before; null: none. */
  known(requester: string, idempotencyKey: string): Promise<string | null>;
  /** Asks a run to stop before its next change. */
  cancel(runId: string, by: string, reason: string): Promise<"cancelling" | "already-ended" | "not-found">;
}

export function createRequests(database: Database, now: () => number): Requests {
  async function known(requester: string, idempotencyKey: string): Promise<string | null> {
    const { rows } = await database.people.query<{ id: string }>(
      "SELECT id FROM paramedic.runs WHERE requested_by = $1 AND idempotency_key = $2",
      [requester, idempotencyKey],
    );
    return rows[0]?.id ?? null;
  }

  return {
    create: async (run, requester, idempotencyKey) => {
      const first = firstEvent(run, new Date(now()).toISOString());
      const { rows } = await database.people.query<{ id: string; created: boolean }>(createSql, [
        run.id,
        run.playbook,
        run.playbookHash,
        run.target ?? "",
        lockKeyOf(run),
        run.trigger.kind,
        requester,
        idempotencyKey,
        run.dryRun,
        first.hash,
        first.text,
        first.prevHash,
        run.hold?.policy ?? null,
        (run.hold?.afterMs ?? 0) / 1000,
      ]);
      const row = rows[0];
      if (row) return row;
      // Another request with this key was committed between the check and the insert; now it can be seen.
      const id = idempotencyKey === null ? null : await known(requester, idempotencyKey);
      if (id === null) throw new Error("a run was refused as a repetition of a request that cannot be found");
      return { id, created: false };
    },
    known,
    cancel: (runId, by, reason) =>
      inTransaction(database.people, async (client) => {
        const told = await appendFromOutside(client, [{ runId, happening: { type: "cancel-requested", by, reason } }]);
        if (told.length > 0) return "cancelling";
        const { rowCount } = await client.query("SELECT FROM paramedic.runs WHERE id = $1", [runId]);
        return rowCount ? "already-ended" : "not-found";
      }),
  };
}

const createSql = `
WITH created AS (
  INSERT INTO paramedic.runs (id, playbook, playbook_hash, target, lock_key, trigger, requested_by, idempotency_key, dry_run, last_seq, last_hash)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10)
  ON CONFLICT (requested_by, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
  RETURNING id
), begun AS (
  INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash) SELECT id, 1, $11::json, $12, $10 FROM created
), held AS (
  INSERT INTO paramedic.escalations (run_id, policy, topic, held, due_at)
  SELECT id, $13, 'held', true, now() + make_interval(secs => $14) FROM created WHERE $13::text IS NOT NULL
)
SELECT id, true AS created FROM created`;
