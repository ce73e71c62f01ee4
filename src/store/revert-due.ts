/**
 * Puts back the mitigations whose time is over: each by a run of its own, started once however many workers look.
 * Mitigations of one thing give way to each other: what a later one has taken over stays until that one is put back.
 */

import type pg from "pg";
import type { Restacked } from "../domain/action.ts";
import type { Trigger } from "../domain/event.ts";
import type { Json } from "../domain/json.ts";
import { outputsOf, progressOf } from "../domain/progress.ts";
import { eventOf } from "./chain.ts";
import { inTransaction } from "./connect.ts";
import { firstEvent, type NewRun } from "./new-run.ts";
import { appendFromOutside } from "./outside.ts";

/** How two mitigations of this action, of which `upper` is the later one, are put back one by one. */
export type Restack = (action: string, lower: Json, upper: Json) => Restacked;

/** Of one look; the rest is found by the next one. */
const most = 50;
/** One whose run cannot be started is left alone for so long, that it neither fills the log nor takes the place of others. */
const failedAgain = "interval '1 min'";

export interface RevertOptions {
  readonly restack: Restack;
  readonly newId: () => string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Told of a mitigation for which no run could be started; the others have theirs all the same. */
  readonly onFailed: (mitigation: string, error: unknown) => void;
}

/** Returns the ids of the runs that were started. Rejects where the store cannot be used. */
export async function revertDue(pool: pg.Pool, options: RevertOptions): Promise<readonly string[]> {
  const { restack, newId, now, onFailed } = options;
  const started: string[] = [];
  const failed: string[] = [];
  for (let looked = 0; looked < most; looked++) {
    let looking: string | null = null;
    try {
      const run = await inTransaction(pool, async (client) => {
        const candidate = await nextCandidate(client, failed);
        if (!candidate) return null;
        looking = candidate.id;
        const due = await dueOf(client, candidate);
        return due ? revertOne(client, due, restack, newId(), now()) : { started: null };
      });
      if (run === null) break;
      if (run.started !== null) started.push(run.started);
    } catch (error) {
      if (looking === null) throw error;
      // Throws where it was the store that failed: then it is nobody's fault, and there is no use in going on.
      await pool.query(
        `UPDATE paramedic.mitigations SET revert_at = now() + ${failedAgain} WHERE id = $1 AND state = 'in-force'`,
        [looking],
      );
      failed.push(looking);
      onFailed(looking, error);
    }
  }
  return started;
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
  readonly history: readonly object[];
}

interface OtherRow {
  readonly id: string;
  readonly plan: Json;
  readonly state: string;
  /** Whether it was applied after the one that is due. */
  readonly above: boolean;
}

interface Candidate {
  readonly id: string;
  readonly lock_key: string;
  readonly action: string;
}

/** The next one that is due, but for those that `failed`. Its run is locked before the mitigations, as everybody does who changes both. */
async function nextCandidate(client: pg.PoolClient, failed: readonly string[]): Promise<Candidate | null> {
  const { rows } = await client.query<Candidate>(
    `SELECT m.id, m.lock_key, m.action FROM paramedic.mitigations m JOIN paramedic.runs r ON r.id = m.run_id
     WHERE m.state = 'in-force' AND m.revert_at <= now() AND m.id <> ALL($1::uuid[])
     ORDER BY m.revert_at LIMIT 1 FOR NO KEY UPDATE OF r SKIP LOCKED`,
    [failed],
  );
  return rows[0] ?? null;
}

/** It and all of the same thing beside it, locked in the order in which they began; null where it is not due any more. */
async function dueOf(
  client: pg.PoolClient,
  { id, lock_key: lockKey, action }: Candidate,
): Promise<{ readonly due: DueRow; readonly others: readonly OtherRow[] } | null> {
  const { rows: all } = await client.query<OtherRow>(
    `SELECT m.id, m.plan, m.state, (m.began_at, m.id) > (d.began_at, d.id) AS above
     FROM paramedic.mitigations m, paramedic.mitigations d
     WHERE d.id = $3 AND m.lock_key = $1 AND m.action = $2 AND m.state <> 'reverted'
     ORDER BY m.began_at, m.id FOR UPDATE OF m`,
    [lockKey, action, id],
  );
  const { rows } = await client.query<DueRow>(
    `SELECT m.id, m.run_id, r.playbook, r.playbook_hash, r.target, m.lock_key, m.step, m.action, m.plan, m.effects,
       m.decided_by, m.reason,
       (SELECT json_agg(e.event ORDER BY e.seq) FROM paramedic.run_events e WHERE e.run_id = r.id) AS history
     FROM paramedic.mitigations m JOIN paramedic.runs r ON r.id = m.run_id
     WHERE m.id = $1 AND m.state = 'in-force' AND m.revert_at <= now()`,
    [id],
  );
  return rows[0] ? { due: rows[0], others: all.filter((one) => one.id !== id) } : null;
}

/** Starts the run that puts it back; null where nothing of it is left to put back, or another one is being put back. */
async function revertOne(
  client: pg.PoolClient,
  { due, others }: { readonly due: DueRow; readonly others: readonly OtherRow[] },
  restack: Restack,
  runId: string,
  now: number,
): Promise<{ readonly started: string | null }> {
  if (others.some(({ state }) => state === "reverting")) {
    await client.query("UPDATE paramedic.mitigations SET revert_at = now() + interval '5 s' WHERE id = $1", [due.id]);
    return { started: null };
  }
  // What failed to be put back is still there; what is kept is no mitigation to those after it.
  const above = others.filter((one) => one.above);
  const below = others.filter((one) => !one.above && one.state === "in-force");
  let left: Json | null = due.plan;
  for (const { id, plan } of above) {
    if (left === null) break;
    const restacked = restack(due.action, left, plan);
    left = restacked.lower;
    await client.query("UPDATE paramedic.mitigations SET plan = $2 WHERE id = $1", [
      id,
      JSON.stringify(restacked.upper),
    ]);
  }
  if (left === null) {
    await endWithout(
      client,
      due,
      "a later change of the same thing stays in force, and puts back what was before both",
    );
    return { started: null };
  }
  for (const { plan } of below) {
    if (left === null) break;
    const { upperFirst } = restack(due.action, plan, left);
    if (upperFirst !== undefined) left = upperFirst;
  }
  if (left === null) {
    await endWithout(client, due, "an earlier change of the same thing stays in force, and puts it back");
    return { started: null };
  }
  await startRun(client, { ...due, plan: left }, runId, now);
  await client.query("UPDATE paramedic.mitigations SET state = 'reverting', plan = $2, revert_run = $3 WHERE id = $1", [
    due.id,
    JSON.stringify(left),
    runId,
  ]);
  return { started: runId };
}

/** It is over, and no run is needed for that. */
async function endWithout(client: pg.PoolClient, due: DueRow, reason: string): Promise<void> {
  await client.query(
    "UPDATE paramedic.mitigations SET state = 'reverted', ended_at = now(), reason = $2 WHERE id = $1",
    [due.id, reason],
  );
  const happening = { type: "mitigation-ended", mitigation: due.id, reverted: true, reason } as const;
  await appendFromOutside(client, [{ runId: due.run_id, happening }], { evenEnded: true });
}

async function startRun(client: pg.PoolClient, due: DueRow, runId: string, now: number): Promise<void> {
  const history = due.history.map((event, index) => eventOf(index + 1, event));
  const created = history[0]?.type === "created" ? history[0] : null;
  const alert = created?.trigger.kind === "alert" ? created.trigger : null;
  const trigger: Trigger = {
    kind: "mitigation",
    mitigation: due.id,
    run: due.run_id,
    step: due.step,
    plan: due.plan,
    effects: due.effects,
    reason: due.reason ?? "its time is over",
    by: due.decided_by,
    outputs: outputsOf(progressOf(history)),
    labels: alert?.labels ?? {},
    annotations: alert?.annotations ?? {},
  };
  const run: NewRun = {
    id: runId,
    playbook: due.playbook,
    playbookHash: due.playbook_hash,
    target: due.target === "" ? null : due.target,
    trigger,
    inputs: created?.inputs ?? {},
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
