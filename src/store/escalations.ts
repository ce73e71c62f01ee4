/** Escalations as rows: which level of which policy is due for which run, and who has it. */

import type pg from "pg";
import { type DueLevels, dueLevels, type Level, lookAgain, unknownPolicy } from "../domain/escalation.ts";
import type { EscalationTopic } from "../domain/topic.ts";
import { type Database, inTransaction } from "./connect.ts";
import { isOver } from "./escalate.ts";
import { given } from "./given.ts";
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
      const { rows } = await database.pool.query<{ any: boolean }>({
        name: "paramedic-any-level-due",
        text: anyDueSql,
      });
      if (rows[0]?.any === false) return { due: 0, unknown: [] };
      const { due, beginning, unknown } = await inTransaction(database.pool, (client) =>
        advance(client, levelsOf, newId),
      );
      for (const row of beginning) await inTransaction(database.pool, (client) => begin(client, row));
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
  readonly topic: EscalationTopic;
  readonly about: string;
  readonly unknown_since: Date | null;
  readonly held: boolean;
  readonly began_at: Date;
  readonly next_level: number;
  readonly over: boolean;
  readonly now: Date;
}

const saying = given({
  messages: { id: "uuid", run_id: "uuid", topic: "text", about: "text", policy: "text", way: "text", level: "int" },
});
const advancing = given({ t: { run_id: "uuid", next_level: "int", due_at: "timestamptz", unknown: "boolean" } });

async function advance(
  client: pg.PoolClient,
  levelsOf: (policy: string) => readonly Level[] | null,
  newId: () => string,
): Promise<{
  readonly due: number;
  readonly beginning: readonly DueRow[];
  readonly unknown: readonly DueRow[];
}> {
  const { rows } = await client.query<DueRow>(dueSql);
  if (rows.length === 0) return { due: 0, beginning: [], unknown: [] };
  const beginning = rows.filter((row) => row.held && !row.over);
  const steps = rows.filter((row) => !beginning.includes(row)).map((row) => nextStep(row, levelsOf));
  const isUnknown = (row: DueRow) => !row.over && levelsOf(row.policy) === null;
  const messages = steps.flatMap(({ row, levels, step }) =>
    step.due.flatMap((level) => (levels[level]?.ways ?? []).map((way) => ({ id: newId(), row, level, way }))),
  );
  await client.query(
    `INSERT INTO paramedic.outbox (${saying.columns.messages}) SELECT * FROM ${saying.from.messages}
     ON CONFLICT (run_id, topic, about, way, policy, level) DO NOTHING`,
    saying.values({
      messages: messages.map(({ id, row: { run_id, topic, about, policy }, way, level }) => ({
        id,
        run_id,
        topic,
        about,
        way,
        policy,
        level,
      })),
    }),
  );
  await client.query(
    `UPDATE paramedic.escalations e SET next_level = t.next_level, due_at = t.due_at,
       unknown_since = CASE WHEN t.unknown THEN coalesce(e.unknown_since, now()) END
     FROM ${advancing.from.t} WHERE e.run_id = t.run_id`,
    advancing.values({
      t: steps.map(({ row, step }) => ({
        run_id: row.run_id,
        next_level: step.nextLevel,
        due_at: step.dueAt === null ? null : new Date(step.dueAt).toISOString(),
        unknown: isUnknown(row),
      })),
    }),
  );
  const unknown = steps.filter(({ row }) => isUnknown(row)).map(({ row }) => row);
  return { due: rows.length, beginning, unknown };
}

function nextStep(
  row: DueRow,
  levelsOf: (policy: string) => readonly Level[] | null,
): { readonly row: DueRow; readonly levels: readonly Level[]; readonly step: DueLevels } {
  if (row.over) return { row, levels: [], step: { due: [], nextLevel: row.next_level, dueAt: null } };
  const levels = levelsOf(row.policy);
  const now = row.now.getTime();
  // Another worker may know the policy, which is so while a new configuration is rolled out.
  if (!levels) return { row, levels: [], step: lookAgain(row.next_level, now) };
  return { row, levels, step: dueLevels(levels, row.began_at.getTime(), row.next_level, now) };
}

// The desk looks whenever there is something to tell, and most of that is no escalation.
const anyDueSql = `
SELECT EXISTS (SELECT FROM paramedic.escalations
  WHERE due_at <= now() AND acknowledged_at IS NULL AND recovered_at IS NULL) AS any`;

const dueSql = `
SELECT e.run_id, e.policy, e.topic, e.about, e.unknown_since, e.held, e.began_at, e.next_level, now() AS now,
  ${isOver} AS over
FROM paramedic.escalations e JOIN paramedic.runs r ON r.id = e.run_id
WHERE e.due_at <= now() AND e.acknowledged_at IS NULL AND e.recovered_at IS NULL
ORDER BY e.due_at LIMIT 100 FOR UPDATE OF e SKIP LOCKED`;

/**
 * The time for which the page was held is over, and the run goes on: people are told from now on. The run is locked
 * before its escalation, as an acknowledgement does it.
 */
async function begin(client: pg.PoolClient, row: DueRow): Promise<void> {
  await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [row.run_id]);
  const { rowCount } = await client.query(
    `UPDATE paramedic.escalations SET held = false, began_at = now(), due_at = now()
     WHERE run_id = $1 AND held AND EXISTS (SELECT FROM paramedic.runs r WHERE r.id = $1 AND r.state <> 'ended')`,
    [row.run_id],
  );
  if (!rowCount) return;
  const reason = "the playbook has not verifiably fixed it in the time for which the page is held; it goes on";
  await appendFromOutside(client, [
    { runId: row.run_id, happening: { type: "escalated", policy: row.policy, reason, topic: "held" } },
  ]);
}

/** Whether no worker that knows the policy came in time. */
function isTooOld(row: DueRow): boolean {
  return row.now.getTime() - (row.unknown_since ?? row.now).getTime() > unknownPolicy.giveUpAfterMs;
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
     WHERE run_id = $1 AND acknowledged_at IS NULL AND NOT held`,
    [runId, by],
  );
  if (!first) {
    const { rows } = await client.query<{ acknowledged_by: string }>(
      "SELECT acknowledged_by FROM paramedic.escalations WHERE run_id = $1 AND NOT held",
      [runId],
    );
    return rows[0] ? { kind: "already-acknowledged", by: rows[0].acknowledged_by } : { kind: "not-escalated" };
  }
  await client.query(
    `UPDATE paramedic.outbox SET state = 'withdrawn', settled_at = now()
     WHERE run_id = $1 AND state IN ('waiting', 'dead') AND shown_seq = 0 AND topic IN ('handed-over', 'held', 'approval-unasked')
       AND (lease_until IS NULL OR lease_until <= now())`,
    [runId],
  );
  await appendFromOutside(client, [{ runId, happening: { type: "acknowledged", by } }], { evenEnded: true });
  return { kind: "acknowledged", by };
}
