/**
 * The one way in which a worker writes to its runs: events and where the run stands after them, in one statement that
 * is refused when the fence or the history has moved. Concurrent runs share their statements.
 */

import { type Append, rowsOf, tables } from "./append-rows.ts";
import { batched } from "./batch.ts";
import { extend, type Link } from "./chain.ts";
import type { Database } from "./connect.ts";
import { orBeginAnew } from "./escalate.ts";
import type { Telling } from "./said.ts";

export type { Append } from "./append-rows.ts";

/**
 * `written`: it is so now. `moved`: somebody else appended in between; read again and decide anew. `lost`: another worker
 * has the run. `paused`: an intent was refused because the kill switch is on. `woken` are runs that waited for the target.
 */
export type Appended =
  | { readonly kind: "written"; readonly lastSeq: number; readonly lastHash: Buffer; readonly woken: readonly string[] }
  | { readonly kind: "moved" | "lost" | "paused" };

export type AppendEvents = (append: Append) => Promise<Appended>;

/** Makes the function that appends. An error means that nothing is known to be written. */
export function createAppend(database: Database, telling: Telling): AppendEvents {
  return batched<Append, Appended>((appends) => writeAgain(database, telling, appends), { lanes: 2, most: 200 });
}

const mostTries = 4;

/** Once more where the statement and another one waited for each other (deadlock_detected): Postgres undid all of it. */
async function writeAgain(
  database: Database,
  telling: Telling,
  appends: readonly Append[],
): Promise<readonly Appended[]> {
  for (let tries = 1; ; tries++) {
    try {
      return await write(database, telling, appends);
    } catch (error) {
      if ((error as { code?: string }).code !== "40P01" || tries === mostTries) throw error;
    }
  }
}

async function write(database: Database, telling: Telling, appends: readonly Append[]): Promise<readonly Appended[]> {
  const links = appends.map((append) =>
    extend(append.runId, { seq: append.lastSeq, hash: append.lastHash }, append.happenings),
  );
  const { rows } = await database.pool.query<WrittenRow>({
    name: "paramedic-append",
    text: appendSql,
    values: tables.values(rowsOf(appends, links, telling)),
  });
  const byId = new Map(rows.map((row) => [row.id, row]));
  return appends.map((append, index): Appended => {
    const row = byId.get(append.runId);
    const last = links[index]?.at(-1) ?? { seq: append.lastSeq, hash: append.lastHash };
    if (row && (row.written || wasWritten(append, last, row))) {
      return { kind: "written", lastSeq: last.seq, lastHash: last.hash, woken: row.woken ?? [] };
    }
    if (!row || row.fence !== append.fence || row.state !== "running") return { kind: "lost" };
    if (row.last_seq !== append.lastSeq) return { kind: "moved" };
    return { kind: row.paused ? "paused" : "lost" };
  });
}

/**
 * Whether an earlier try, whose answer was lost with its connection, has given the run away as this one is to: the events
 * at their place are these, which their hash tells. What is still this worker's is read anew instead.
 */
function wasWritten({ fence, standing, happenings }: Append, last: Pick<Link, "hash">, row: WrittenRow): boolean {
  const isOurs = row.fence === fence && row.state === "running";
  if (standing.state === "running" || isOurs) return false;
  // Nobody else takes a run that was not given away without raising its fence.
  if (happenings.length === 0) return row.fence === fence;
  return row.last_hash.equals(last.hash) || row.stored_hash?.equals(last.hash) === true;
}

interface WrittenRow {
  readonly id: string;
  readonly written: boolean;
  readonly fence: number;
  readonly state: string;
  readonly last_seq: number;
  readonly last_hash: Buffer;
  /** Where nothing was written: of the event that stands where the last one of these was to stand. */
  readonly stored_hash: Buffer | null;
  readonly paused: boolean;
  readonly woken: readonly string[] | null;
}

/** A run that ends after its alert resolved has just measured that it is not over. */
const recheckAfterSeconds = 30;

// One statement touches a row once, and its parts see the tables as they were before it.
const appendSql = `
WITH told AS (
  SELECT * FROM ${tables.from.heads}
), found AS MATERIALIZED (
  -- All rows are locked in the order of their ids before anything is written, as everybody does who waits for such locks:
  -- who holds a run's row may wait for its escalation and its messages, and never the other way round. FOR NO KEY UPDATE,
  -- since a message that is stored meanwhile only looks whether its run is there. \`found\` is what the rows are then,
  -- where the statement's own snapshot may be older.
  SELECT r.id, r.fence, r.state, r.last_seq, r.last_hash FROM paramedic.runs r
  WHERE r.id = ANY(${tables.array.heads.id}) ORDER BY r.id FOR NO KEY UPDATE
), held AS (
  -- \`state || ''\` keeps Postgres from the index of the runs that go on, as below from that of the approvals that wait:
  -- where its statistics are of a time when there were few, it takes one of them for the shorter way, and reads a
  -- thousand approvals for each run that ends.
  UPDATE paramedic.runs r
  SET state = t.state, waiting_for = t.waiting_for, outcome = t.outcome, last_seq = t.new_seq, last_hash = t.new_hash,
      lease_until = CASE WHEN t.state = 'running' THEN r.lease_until END,
      due_at = CASE WHEN t.state = 'running' THEN r.due_at ELSE coalesce(t.due_at, now()) END,
      hinted_at = CASE WHEN t.state = 'running' THEN r.hinted_at END,
      ended_at = CASE WHEN t.state = 'ended' THEN now() END,
      host = t.host, host_since = CASE WHEN t.host IS NOT NULL THEN now() END
  FROM told t
  WHERE (SELECT count(*) FROM found) > 0
    AND r.id = t.id AND r.fence = t.fence AND r.last_seq = t.last_seq AND r.state || '' = 'running'
    AND (NOT t.intent OR (r.lease_until > now() AND NOT paramedic.paused()))
  RETURNING r.id, r.episode_id, r.playbook, r.target, r.lock_key, r.trigger, r.requested_by, t.state, t.waiting_for, t.outcome, t.changes,
    t.new_seq > t.last_seq AS grew
), written AS (
  INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash)
  SELECT events.run_id, events.seq, events.event::json, events.prev_hash, events.hash
  FROM ${tables.from.events} JOIN held ON held.id = events.run_id
), changed AS (
  INSERT INTO paramedic.changes (run_id, playbook, target) SELECT id, playbook, target FROM held
  -- Putting back what a playbook did is not another try of it.
  WHERE changes AND trigger <> 'mitigation'
  ON CONFLICT (run_id) DO NOTHING
), asked AS (
  INSERT INTO paramedic.approvals
    (id, run_id, step, digest, effects, reasons, at_least, requested_by, expires_at, approvers)
  SELECT asked.id, asked.run_id, asked.step, asked.digest, asked.effects, asked.reasons, asked.at_least, held.requested_by, asked.expires_at,
    ARRAY(SELECT json_array_elements_text(asked.approvers))
  FROM ${tables.from.asked} JOIN held ON held.id = asked.run_id
), closed AS (
  UPDATE paramedic.approvals a SET state = closing.state, decided_at = now()
  FROM ${tables.from.closing}, held
  WHERE a.id = closing.id AND a.run_id = held.id AND a.state IN ('pending', 'approved')
), left_open AS (
  UPDATE paramedic.approvals a SET state = 'voided', decided_at = now()
  FROM held
  WHERE a.run_id = held.id AND held.state = 'ended' AND a.state || '' = 'pending' AND a.id <> ALL(${tables.array.closing.id})
), handed_over AS (
  INSERT INTO paramedic.escalations (run_id, policy, topic, recheck_at)
  SELECT escalated.run_id, escalated.policy, escalated.topic, CASE WHEN escalated.topic = 'handed-over' AND EXISTS (
    SELECT FROM paramedic.episodes e WHERE e.id = held.episode_id AND e.status = 'resolved')
    THEN now() + make_interval(secs => ${recheckAfterSeconds}) END
  FROM ${tables.from.escalated} JOIN held ON held.id = escalated.run_id
  ${orBeginAnew}
), said AS (
  INSERT INTO paramedic.outbox (${tables.columns.telling})
  SELECT telling.* FROM ${tables.from.telling} JOIN held ON held.id = telling.run_id
  ON CONFLICT (run_id, topic, about, way, policy, level) DO UPDATE
    SET state = CASE WHEN outbox.state = 'dead' THEN 'waiting' ELSE outbox.state END,
        attempts = CASE WHEN outbox.state = 'dead' THEN 0 ELSE outbox.attempts END,
        due_at = CASE WHEN outbox.state = 'dead' THEN now() ELSE coalesce(outbox.due_at, now()) END
    WHERE outbox.state IN ('waiting', 'following') OR (outbox.state = 'dead' AND outbox.topic = 'record')
), mitigated AS (
  INSERT INTO paramedic.mitigations (id, run_id, step, action, lock_key, plan, effects, revert_at, on_resolved,
    revert_on, reason)
  SELECT began.id, began.run_id, began.step, began.action, held.lock_key, began.plan, began.effects, began.revert_at, began.on_resolved,
    ARRAY(SELECT json_array_elements_text(began.revert_on)),
    CASE WHEN began.on_resolved AND EXISTS (
      SELECT FROM paramedic.episodes e WHERE e.id = held.episode_id AND e.status = 'resolved') THEN 'the alert resolved' END
  FROM ${tables.from.began} JOIN held ON held.id = began.run_id
), over AS (
  UPDATE paramedic.mitigations m SET revert_at = now(), reason = CASE held.outcome
    WHEN 'fixed' THEN 'the run was verified to have helped' WHEN 'declined' THEN 'a later step was declined'
    ELSE 'nobody approved a later step' END
  FROM held
  WHERE m.run_id = held.id AND m.state || '' = 'in-force' AND held.outcome = ANY(
    CASE WHEN 'verified' = ANY(m.revert_on) THEN '{fixed}'::text[] ELSE '{}' END
    || CASE WHEN 'declined' = ANY(m.revert_on) THEN '{declined,expired}'::text[] ELSE '{}' END)
), put_back AS (
  UPDATE paramedic.mitigations m SET state = CASE WHEN ended.reverted THEN 'reverted' ELSE 'failed' END, ended_at = now()
  FROM ${tables.from.ended}, held
  WHERE m.id = ended.id AND m.revert_run = held.id AND m.state = 'reverting'
), behind AS (
  -- The snapshot may be older than a message that was being told meanwhile: each one of the run is looked at anew, but
  -- what \`said\` touches.
  UPDATE paramedic.outbox o SET due_at = coalesce(o.due_at, now())
  FROM held WHERE o.run_id = held.id AND held.grew AND o.state IN ('waiting', 'following')
    AND (o.run_id, o.topic, o.about, o.way, o.policy, o.level) NOT IN (
      SELECT run_id, topic, about, way, policy, level FROM ${tables.from.telling})
), freed AS (
  -- A lock is kept while the run works or measures, while retrying too.
  DELETE FROM paramedic.target_locks l USING held
  WHERE l.run_id = held.id
    AND (held.state = 'ended' OR held.waiting_for IN ('approval', 'switch', 'target', 'worker', 'lead-time'))
  RETURNING l.lock_key
), woken AS (
  UPDATE paramedic.runs r SET due_at = now(), hinted_at = now()
  WHERE r.id IN (
    SELECT next.id FROM freed, LATERAL (
      SELECT w.id FROM paramedic.runs w WHERE w.waiting_for = 'target' AND w.lock_key = freed.lock_key
      ORDER BY w.id LIMIT 1 FOR UPDATE SKIP LOCKED) AS next)
  RETURNING r.id, r.lock_key
)
SELECT found.id, held.id IS NOT NULL AS written, found.fence, found.state, found.last_seq, found.last_hash,
  CASE WHEN held.id IS NULL THEN (
    SELECT e.hash FROM told JOIN paramedic.run_events e ON e.run_id = told.id AND e.seq = told.new_seq
    WHERE told.id = found.id) END AS stored_hash,
  CASE WHEN held.id IS NULL THEN paramedic.paused() ELSE false END AS paused,
  (SELECT array_agg(woken.id) FROM woken WHERE woken.lock_key = held.lock_key) AS woken
FROM found LEFT JOIN held ON held.id = found.id`;
