/** Temporary changes in force: which are due to be put back, the runs that do it, and what people decide about them. */

import type pg from "pg";
import type { Json } from "../domain/json.ts";
import { type Database, inTransaction } from "./connect.ts";
import { firstEvent, type NewRun } from "./new-run.ts";
import { appendFromOutside } from "./outside.ts";

export type MitigationState = "in-force" | "reverting" | "reverted" | "kept" | "failed";

export interface Mitigation {
  readonly id: string;
  readonly runId: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly step: string;
  readonly action: string;
  readonly effects: readonly string[];
  readonly state: MitigationState;
  /** When it is put back by itself; null: not by time. */
  readonly revertAt: string | null;
  readonly onResolved: boolean;
  readonly beganAt: string;
  readonly endedAt: string | null;
  readonly decidedBy: string | null;
  readonly reason: string | null;
  /** The run that puts it back; null: none yet. */
  readonly revertRun: string | null;
}

/** What is left of `lower` to revert while `upper` stays, and `upper` as it must be then; see `ChangeAction.restack`. */
export type Restack = (
  action: string,
  lower: Json,
  upper: Json,
) => { readonly lower: Json | null; readonly upper: Json };

export type MitigationDecided =
  | { readonly kind: "decided"; readonly mitigation: Mitigation }
  | { readonly kind: "over"; readonly mitigation: Mitigation }
  | { readonly kind: "not-found" };

export interface Mitigations {
  /** Starts a run for each that is due, once however many workers ask. Returns the ids of these runs. */
  revertDue(restack: Restack): Promise<readonly string[]>;
  /** Newest first, at most `limit`. */
  list(filter: { readonly state: string | null; readonly limit: number }): Promise<readonly Mitigation[]>;
  /** Has it put back now, or keeps it for good. */
  decide(id: string, decision: "revert" | "keep", by: string, reason: string): Promise<MitigationDecided>;
}

export function createMitigations(database: Database, newId: () => string, now: () => number): Mitigations {
  const { pool, people } = database;
  return {
    revertDue: (restack) =>
      inTransaction(pool, async (client) => {
        const { rows } = await client.query<DueRow>(dueSql);
        const started: string[] = [];
        for (const due of rows) {
          const run = await revertOne(client, due, restack, newId(), now());
          if (run !== null) started.push(run);
        }
        return started;
      }),
    list: async ({ state, limit }) => {
      const { rows } = await people.query<MitigationRow>(
        `${selectSql} WHERE ($1::text IS NULL OR m.state = $1) ORDER BY m.id DESC LIMIT $2`,
        [state, limit],
      );
      return rows.map(mitigationOf);
    },
    decide: (id, decision, by, reason) =>
      inTransaction(people, (client) => decideOnce(client, { id, decision, by, reason })),
  };
}

interface DueRow {
  readonly id: string;
  readonly run_id: string;
  readonly playbook: string;
  readonly playbook_hash: string;
  readonly target: string;
  readonly lock_key: string;
  readonly step: string;
  readonly action: string;
  readonly plan: Json;
  readonly effects: readonly string[];
  readonly decided_by: string | null;
  readonly reason: string | null;
}

const dueSql = `
SELECT m.id, m.run_id, r.playbook, r.playbook_hash, r.target, m.lock_key, m.step, m.action, m.plan, m.effects,
  m.decided_by, m.reason
FROM paramedic.mitigations m JOIN paramedic.runs r ON r.id = m.run_id
WHERE m.state = 'in-force' AND m.revert_at <= now()
ORDER BY m.revert_at LIMIT 20 FOR UPDATE OF m SKIP LOCKED`;

/** Starts the run that puts it back; null where nothing is left to put back, or one above it is being put back just now. */
async function revertOne(
  client: pg.PoolClient,
  due: DueRow,
  restack: Restack,
  runId: string,
  now: number,
): Promise<string | null> {
  // Ids are UUIDv7: what was applied later has a greater one.
  const { rows: above } = await client.query<{ id: string; plan: Json; state: MitigationState }>(
    `SELECT id, plan, state FROM paramedic.mitigations
     WHERE lock_key = $1 AND action = $2 AND id > $3 AND state IN ('in-force', 'kept', 'reverting') ORDER BY id FOR UPDATE`,
    [due.lock_key, due.action, due.id],
  );
  if (above.some(({ state }) => state === "reverting")) {
    await client.query("UPDATE paramedic.mitigations SET revert_at = now() + interval '10 s' WHERE id = $1", [due.id]);
    return null;
  }
  let lower: Json | null = due.plan;
  for (const { id, plan } of above) {
    if (lower === null) break;
    const restacked = restack(due.action, lower, plan);
    lower = restacked.lower;
    await client.query("UPDATE paramedic.mitigations SET plan = $2 WHERE id = $1", [
      id,
      JSON.stringify(restacked.upper),
    ]);
  }
  if (lower === null) {
    await client.query(
      "UPDATE paramedic.mitigations SET state = 'reverted', ended_at = now(), reason = $2 WHERE id = $1",
      [due.id, "a later change of the same thing stays in force, and puts back what was there before both"],
    );
    const happening = { type: "mitigation-ended", mitigation: due.id, reverted: true } as const;
    await appendFromOutside(client, [{ runId: due.run_id, happening }], { evenEnded: true });
    return null;
  }
  await startRun(client, { ...due, plan: lower }, runId, now);
  await client.query("UPDATE paramedic.mitigations SET state = 'reverting', plan = $2, revert_run = $3 WHERE id = $1", [
    due.id,
    JSON.stringify(lower),
    runId,
  ]);
  return runId;
}

async function startRun(client: pg.PoolClient, due: DueRow, runId: string, now: number): Promise<void> {
  const run: NewRun = {
    id: runId,
    playbook: due.playbook,
    playbookHash: due.playbook_hash,
    target: due.target === "" ? null : due.target,
    trigger: {
      kind: "mitigation",
      mitigation: due.id,
      run: due.run_id,
      step: due.step,
      plan: due.plan,
      effects: due.effects,
      reason: due.reason ?? "its time is over",
      by: due.decided_by,
    },
    inputs: {},
    dryRun: false,
  };
  const first = firstEvent(run, new Date(now).toISOString());
  await client.query(
    `WITH created AS (
       INSERT INTO paramedic.runs (id, playbook, playbook_hash, target, lock_key, trigger, requested_by, last_seq, last_hash)
       VALUES ($1, $2, $3, $4, $5, 'mitigation', $6, 1, $7) RETURNING id
     )
     INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash) SELECT id, 1, $8::json, $9, $7 FROM created`,
    [
      runId,
      run.playbook,
      run.playbookHash,
      due.target,
      due.lock_key,
      due.decided_by,
      first.hash,
      first.text,
      first.prevHash,
    ],
  );
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
  readonly began_at: Date;
  readonly ended_at: Date | null;
  readonly decided_by: string | null;
  readonly reason: string | null;
  readonly revert_run: string | null;
}

const selectSql = `
SELECT m.id, m.run_id, r.playbook, r.target, m.step, m.action, m.effects, m.state, m.revert_at, m.on_resolved, m.began_at,
  m.ended_at, m.decided_by, m.reason, m.revert_run
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
    beganAt: row.began_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
    decidedBy: row.decided_by,
    reason: row.reason,
    revertRun: row.revert_run,
  };
}
