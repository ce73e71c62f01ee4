/** Temporary changes in force: which there are, and what people decide about them. */

import type pg from "pg";
import type { Mitigation, MitigationDecided, MitigationState } from "../domain/mitigation.ts";
import type { RevertOnEnd } from "../domain/playbook.ts";
import { type Database, inTransaction } from "./connect.ts";
import { appendFromOutside } from "./outside.ts";
import { type Restack, revertDue } from "./revert-due.ts";

export interface Mitigations {
  /**
   * Starts a run for each that is due, once however many workers ask. Returns the ids of these runs. `onFailed` is told of
   * one for which none could be started, which keeps no other one from its run.
   */
  revertDue(restack: Restack, onFailed: (mitigation: string, error: unknown) => void): Promise<readonly string[]>;
  /** Those that are not over first, then the newest first; at most `limit`. */
  list(filter: { readonly state: string | null; readonly limit: number }): Promise<readonly Mitigation[]>;
  /** Has it put back now, or keeps it for good. */
  decide(id: string, decision: "revert" | "keep", by: string, reason: string): Promise<MitigationDecided>;
}

export function createMitigations(database: Database, newId: () => string, now: () => number): Mitigations {
  const { pool, people } = database;
  return {
    revertDue: (restack, onFailed) => revertDue(pool, { restack, newId, now, onFailed }),
    list: async ({ state, limit }) => {
      const { rows } = await people.query<MitigationRow>(
        `${selectSql} WHERE ($1::text IS NULL OR m.state = $1)
         ORDER BY m.state IN ('reverted', 'kept'), m.id DESC LIMIT $2`,
        [state, limit],
      );
      return rows.map(mitigationOf);
    },
    decide: (id, decision, by, reason) =>
      inTransaction(people, (client) => decideOnce(client, { id, decision, by, reason })),
  };
}

async function decideOnce(
  client: pg.PoolClient,
  wanted: {
    readonly id: string;
    readonly decision: "revert" | "keep";
    readonly by: string;
    readonly reason: string;
  },
): Promise<MitigationDecided> {
  const { id, decision, by, reason } = wanted;
  const { rows: known } = await client.query<{ run_id: string }>(
    `SELECT m.run_id FROM paramedic.mitigations m JOIN paramedic.runs r ON r.id = m.run_id
     WHERE m.id = $1 FOR NO KEY UPDATE OF r`,
    [id],
  );
  const runId = known[0]?.run_id;
  if (runId === undefined) return { kind: "not-found" };
  const { rowCount: changed } = await client.query(
    `UPDATE paramedic.mitigations
     SET state = CASE WHEN $2 = 'keep' THEN 'kept' ELSE 'in-force' END, decided_by = $3, reason = $4,
         revert_at = CASE WHEN $2 = 'keep' THEN NULL ELSE now() END,
         ended_at = CASE WHEN $2 = 'keep' THEN now() END
     WHERE id = $1 AND state IN ('in-force', 'failed')`,
    [id, decision, by, reason],
  );
  const { rows } = await client.query<MitigationRow>(`${selectSql} WHERE m.id = $1`, [id]);
  const mitigation = mitigationOf(rows[0] as MitigationRow);
  if (!changed) return { kind: "over", mitigation };
  const happening = { type: "mitigation-decided", mitigation: id, decision, by, reason } as const;
  await appendFromOutside(client, [{ runId, happening }], { evenEnded: true });
  return { kind: "decided", mitigation };
}

interface MitigationRow {
  readonly id: string;
  readonly run_id: string;
  readonly playbook: string;
  readonly target: string;
  readonly step: string;
  readonly action: string;
  readonly effects: readonly string[];
  readonly state: MitigationState;
  readonly revert_at: Date | null;
  readonly on_resolved: boolean;
  readonly revert_on: readonly RevertOnEnd[];
  readonly began_at: Date;
  readonly ended_at: Date | null;
  readonly decided_by: string | null;
  readonly reason: string | null;
  readonly revert_run: string | null;
}

const selectSql = `
SELECT m.id, m.run_id, r.playbook, r.target, m.step, m.action, m.effects, m.state, m.revert_at, m.on_resolved, m.revert_on,
  m.began_at, m.ended_at, m.decided_by, m.reason, m.revert_run
FROM paramedic.mitigations m JOIN paramedic.runs r ON r.id = m.run_id`;

function mitigationOf(row: MitigationRow): Mitigation {
  return {
    id: row.id,
    runId: row.run_id,
    playbook: row.playbook,
    target: row.target === "" ? null : row.target,
    step: row.step,
    action: row.action,
    effects: row.effects,
    state: row.state,
    revertAt: row.revert_at?.toISOString() ?? null,
    onResolved: row.on_resolved,
    onEnd: row.revert_on,
    beganAt: row.began_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
    decidedBy: row.decided_by,
    reason: row.reason,
    revertRun: row.revert_run,
  };
}
