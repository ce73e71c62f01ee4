/** Escalations as rows: which level of which policy is due for which run, and who has it. */

import type pg from "pg";
import { dueLevels, type Level, lookAgain, unknownPolicy } from "../domain/escalation.ts";
import { type Database, inTransaction } from "./connect.ts";
import { appendFromOutside } from "./outside.ts";

/** `levelsOf` a policy that is not configured is null. */
export interface Escalations {
  /** Puts what the due levels say into the outbox; each level once, however many workers ask. */
  advance(levelsOf: (policy: string) => readonly Level[] | null): Promise<Advanced>;
  /** Somebody has it: no later level is told, and what is not yet delivered is withdrawn. */
  acknowledge(runId: string, by: string): Promise<Acknowledged>;
}

export interface Advanced {
  /** How many escalations were due. */
  readonly due: number;
  /** Those of them whose policy this worker does not know. */
  readonly unknown: readonly UnknownPolicy[];
}

/** An escalation that waits for a worker that knows its policy, or that was given up because none came. */
export interface UnknownPolicy {
  readonly runId: string;
  readonly policy: string;
  /** Nobody looks any more; the run's history says so. */
  readonly givenUp: boolean;
}

/** `by` is who has it, also when somebody had it before. */
export type Acknowledged =
  | { readonly kind: "acknowledged" | "already-acknowledged"; readonly by: string }
  | { readonly kind: "not-escalated" | "not-found" };

export function createEscalations(database: Database, newId: () => string): Escalations {
  return {
    advance: async (levelsOf) => {
      const { due, unknown } = await inTransaction(database.pool, (client) => advance(client, levelsOf, newId));
      const told: UnknownPolicy[] = [];
      for (const row of unknown) {
        const givenUp = isTooOld(row) && (await inTransaction(database.pool, (client) => giveUp(client, row)));
        told.push({ runId: row.run_id, policy: row.policy, givenUp });
      }
      return { due, unknown: told };
    },
    acknowledge: (runId, by) => inTransaction(database.people, (client) => acknowledge(client, runId, by)),
  };
}

interface DueRow {
  readonly run_id: string;
  readonly policy: string;
  readonly began_at: Date;
  readonly next_level: number;
  readonly now: Date;
}

async function advance(
  client: pg.PoolClient,
  levelsOf: (policy: string) => readonly Level[] | null,
  newId: () => string,
): Promise<{ readonly due: number; readonly unknown: readonly DueRow[] }> {
  const { rows } = await client.query<DueRow>(
    `SELECT run_id, policy, began_at, next_level, now() AS now FROM paramedic.escalations
     WHERE due_at <= now() AND acknowledged_at IS NULL ORDER BY due_at LIMIT 100 FOR UPDATE SKIP LOCKED`,
  );
  if (rows.length === 0) return { due: 0, unknown: [] };
  const steps = rows.map((row) => {
    const levels = levelsOf(row.policy);
    const now = row.now.getTime();
    // Another worker may know the policy, which is so while a new configuration is rolled out.
    if (!levels) return { row, levels: [], step: lookAgain(row.next_level, now) };
    return { row, levels, step: dueLevels(levels, row.began_at.getTime(), row.next_level, now) };
  });
  const messages = steps.flatMap(({ row, levels, step }) =>
    step.due.flatMap((level) => (levels[level]?.ways ?? []).map((way) => ({ id: newId(), row, level, way }))),
  );
  await client.query(
    `INSERT INTO paramedic.outbox (id, run_id, way, policy, level)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[])
     ON CONFLICT (run_id, way, policy, level) DO NOTHING`,
    [
      messages.map(({ id }) => id),
      messages.map(({ row }) => row.run_id),
      messages.map(({ way }) => way),
      messages.map(({ row }) => row.policy),
      messages.map(({ level }) => level),
    ],
  );
  await client.query(
    `UPDATE paramedic.escalations e SET next_level = t.next_level, due_at = t.due_at
     FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) AS t(run_id, next_level, due_at) WHERE e.run_id = t.run_id`,
    [
      steps.map(({ row }) => row.run_id),
      steps.map(({ step }) => step.nextLevel),
      steps.map(({ step }) => (step.dueAt === null ? null : new Date(step.dueAt).toISOString())),
    ],
  );
  return { due: rows.length, unknown: rows.filter((row) => levelsOf(row.policy) === null) };
}

/** Whether no worker that knows the policy came in time. */
function isTooOld(row: DueRow): boolean {
  return row.now.getTime() - row.began_at.getTime() > unknownPolicy.giveUpAfterMs;
}

/**
 * Tells nobody any more, and says so in the run's history. A transaction of its own, in which the run is locked before
 * its escalation, as an acknowledgement does it. Returns whether nobody else did it, or acknowledged, meanwhile.
 */
async function giveUp(client: pg.PoolClient, row: DueRow): Promise<boolean> {
  await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [row.run_id]);
  const { rowCount } = await client.query(
    `UPDATE paramedic.escalations SET due_at = NULL
     WHERE run_id = $1 AND next_level = $2 AND due_at IS NOT NULL AND acknowledged_at IS NULL`,
    [row.run_id, row.next_level],
  );
  if (!rowCount) return false;
  const reason =
    `the policy '${row.policy}' is not configured; tell people yourself, ` +
    "and add it to `escalation` in the configuration, or correct `escalate` in the playbook";
  const happening = { type: "not-told", way: "escalation", level: row.next_level + 1, reason } as const;
  await appendFromOutside(client, [{ runId: row.run_id, happening }], { evenEnded: true });
  return true;
}

async function acknowledge(client: pg.PoolClient, runId: string, by: string): Promise<Acknowledged> {
  // Not FOR UPDATE: whoever advances the escalation holds its row and refers to the run, which would be a deadlock.
  const { rowCount: known } = await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [runId]);
  if (!known) return { kind: "not-found" };
  const { rowCount: first } = await client.query(
    `UPDATE paramedic.escalations SET acknowledged_by = $2, acknowledged_at = now()
     WHERE run_id = $1 AND acknowledged_at IS NULL`,
    [runId, by],
  );
  if (!first) {
    const { rows } = await client.query<{ acknowledged_by: string }>(
      "SELECT acknowledged_by FROM paramedic.escalations WHERE run_id = $1",
      [runId],
    );
    return rows[0] ? { kind: "already-acknowledged", by: rows[0].acknowledged_by } : { kind: "not-escalated" };
  }
  await client.query(
    `UPDATE paramedic.outbox SET state = 'withdrawn', settled_at = now()
     WHERE run_id = $1 AND state = 'waiting' AND (lease_until IS NULL OR lease_until <= now())`,
    [runId],
  );
  await appendFromOutside(client, [{ runId, happening: { type: "acknowledged", by } }], { evenEnded: true });
  return { kind: "acknowledged", by };
}
