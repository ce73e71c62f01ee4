/**
 * The one way in which a worker writes to its runs: events and where the run stands after them, in one statement that
 * is refused when the fence or the history has moved. Concurrent runs share their statements.
 */

import type { DatedHappening, Happening, Outcome } from "../domain/event.ts";
import type { WaitingFor } from "../domain/run.ts";
import { batched } from "./batch.ts";
import { extend, type Link } from "./chain.ts";
import type { Database } from "./connect.ts";
import { orBeginAnew } from "./escalate.ts";
import { type Said, saidOf, type Telling } from "./said.ts";

/** Where a run stands after a write. Times are milliseconds since 1970. `released` gives it back for any worker to take. */
export type Standing =
  | { readonly state: "running" }
  | { readonly state: "waiting"; readonly for: WaitingFor; readonly dueAt: number }
  | { readonly state: "released"; readonly host?: string }
  | { readonly state: "ended"; readonly outcome: Outcome };

export interface Append {
  readonly runId: string;
  readonly fence: number;
  readonly lastSeq: number;
  readonly lastHash: Buffer;
  readonly happenings: readonly DatedHappening[];
  readonly standing: Standing;
}

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
  const said = saidIn(appends, telling);
  const { rows } = await database.pool.query<WrittenRow>({
    name: "paramedic-append",
    text: appendSql,
    values: [
      ...headColumns(appends, links),
      ...eventColumns(appends, links),
      ...approvalColumns(appends),
      ...escalationColumns(appends),
      ...outboxColumns(said),
      ...mitigationColumns(appends),
      appends.map(({ standing }) => (standing.state === "released" ? (standing.host ?? null) : null)),
      said.map(({ about }) => about),
      appends.map(({ happenings }) => happenings.some((one) => one.type === "step-started" && !one.tells)),
    ],
  });
  const byId = new Map(rows.map((row) => [row.id, row]));
  return appends.map((append, index): Appended => {
    const row = byId.get(append.runId);
    if (!row || row.fence !== append.fence || row.state !== "running") return { kind: "lost" };
    if (row.written) {
      const last = links[index]?.at(-1);
      return {
        kind: "written",
        lastSeq: last?.seq ?? append.lastSeq,
        lastHash: last?.hash ?? append.lastHash,
        woken: row.woken ?? [],
      };
    }
    if (row.last_seq !== append.lastSeq) return { kind: "moved" };
    return { kind: row.paused ? "paused" : "lost" };
  });
}

interface WrittenRow {
  readonly id: string;
  readonly written: boolean;
  readonly fence: number;
  readonly state: string;
  readonly last_seq: number;
  readonly paused: boolean;
  readonly woken: readonly string[] | null;
}

function headColumns(appends: readonly Append[], links: readonly (readonly Link[])[]): unknown[] {
  const standings = appends.map((append) => append.standing);
  return [
    appends.map((append) => append.runId),
    appends.map((append) => append.fence),
    appends.map((append) => append.lastSeq),
    links.map((of, index) => of.at(-1)?.seq ?? (appends[index] as Append).lastSeq),
    links.map((of, index) => of.at(-1)?.hash ?? (appends[index] as Append).lastHash),
    standings.map((standing) => (standing.state === "released" ? "ready" : standing.state)),
    standings.map((standing) => (standing.state === "waiting" ? standing.for : null)),
    standings.map((standing) => (standing.state === "waiting" ? new Date(standing.dueAt).toISOString() : null)),
    standings.map((standing) => (standing.state === "ended" ? standing.outcome : null)),
    appends.map((append) => append.happenings.some((happening) => happening.type === "step-started")),
  ];
}

function eventColumns(appends: readonly Append[], links: readonly (readonly Link[])[]): unknown[] {
  const flat = links.flatMap((of, index) => of.map((link) => ({ runId: (appends[index] as Append).runId, link })));
  return [
    flat.map(({ runId }) => runId),
    flat.map(({ link }) => link.seq),
    flat.map(({ link }) => link.text),
    flat.map(({ link }) => link.prevHash),
    flat.map(({ link }) => link.hash),
  ];
}

type Requested = Extract<Happening, { type: "approval-requested" }>;
type Closed = Extract<Happening, { type: "approval-expired" | "approval-voided" }>;

function approvalColumns(appends: readonly Append[]): unknown[] {
  const requested: { runId: string; of: Requested }[] = [];
  const closed: Closed[] = [];
  for (const append of appends) {
    for (const happening of append.happenings) {
      if (happening.type === "approval-requested") requested.push({ runId: append.runId, of: happening });
      if (happening.type === "approval-expired" || happening.type === "approval-voided") closed.push(happening);
    }
  }
  return [
    requested.map(({ of }) => of.approval),
    requested.map(({ runId }) => runId),
    requested.map(({ of }) => of.step),
    requested.map(({ of }) => of.digest),
    requested.map(({ of }) => JSON.stringify(of.effects)),
    requested.map(({ of }) => JSON.stringify(of.reasons)),
    requested.map(({ of }) => of.atLeast),
    requested.map(({ of }) => of.expiresAt),
    requested.map(({ of }) => JSON.stringify(of.approvers ?? [])),
    closed.map((of) => of.approval),
    closed.map((of) => (of.type === "approval-expired" ? "expired" : "voided")),
  ];
}

/** Only an escalation with a policy has levels; without one, the log and the metric are all there is. */
function escalationColumns(appends: readonly Append[]): unknown[] {
  const escalated = appends.flatMap((append) =>
    append.happenings.flatMap((happening) =>
      happening.type === "escalated" && happening.policy !== null
        ? [{ runId: append.runId, policy: happening.policy, topic: happening.topic ?? "handed-over" }]
        : [],
    ),
  );
  return [
    escalated.map(({ runId }) => runId),
    escalated.map(({ policy }) => policy),
    escalated.map(({ topic }) => topic),
  ];
}

function saidIn(appends: readonly Append[], telling: Telling): readonly Said[] {
  return appends.flatMap(({ runId, happenings }) =>
    happenings.flatMap((happening) => saidOf(runId, happening, telling)),
  );
}

function outboxColumns(said: readonly Said[]): unknown[] {
  return [
    said.map(({ id }) => id),
    said.map(({ runId }) => runId),
    said.map(({ topic }) => topic),
    said.map(({ way }) => way),
    said.map(({ policy }) => policy),
    said.map(({ level }) => level),
  ];
}

/** A run that ends after its alert resolved has just measured that it is not over. */
const recheckAfterSeconds = 30;

function mitigationColumns(appends: readonly Append[]): unknown[] {
  const began: { runId: string; of: Extract<Happening, { type: "mitigation-began" }> }[] = [];
  const ended: Extract<Happening, { type: "mitigation-ended" }>[] = [];
  for (const { runId, happenings } of appends) {
    for (const happening of happenings) {
      if (happening.type === "mitigation-began") began.push({ runId, of: happening });
      if (happening.type === "mitigation-ended") ended.push(happening);
    }
  }
  return [
    began.map(({ of }) => of.mitigation),
    began.map(({ runId }) => runId),
    began.map(({ of }) => of.step),
    began.map(({ of }) => of.action),
    began.map(({ of }) => JSON.stringify(of.plan)),
    began.map(({ of }) => JSON.stringify(of.effects)),
    began.map(({ of }) => of.revertAt),
    began.map(({ of }) => of.onResolved),
    ended.map((of) => of.mitigation),
    ended.map((of) => of.reverted),
  ];
}

// A lock is kept while the run works or measures, while retrying too, and given up when it ends or waits for people or the switch.
// Who holds a run's row may wait for its escalation and its messages, and never the other way round. FOR NO KEY UPDATE,
// since a message that is stored meanwhile only looks whether its run is there.
// All rows are locked in the order of their ids before anything is written, as everybody does who waits for such locks;
// `found` is what they are then, where the statement's own snapshot may be older. So may be what it sees of a message that
// was being told meanwhile: each one of the run is looked at anew. One statement touches a row once: what `said` names is left to it.
// `state || ''` keeps Postgres from the indexes of the approvals that wait and of the runs that go on: where its statistics
// are of a time when few did, it takes one of them for the shorter way, and reads a thousand approvals for each run that ends.
const appendSql = `
WITH told AS (
  SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::bytea[], $6::text[], $7::text[],
      $8::timestamptz[], $9::text[], $10::boolean[], $46::text[], $48::boolean[])
    AS t(id, fence, last_seq, new_seq, new_hash, state, waiting_for, due_at, outcome, intent, host, changes)
), found AS MATERIALIZED (
  SELECT r.id, r.fence, r.state, r.last_seq FROM paramedic.runs r WHERE r.id = ANY($1::uuid[]) ORDER BY r.id FOR NO KEY UPDATE
), held AS (
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
  RETURNING r.id, r.episode_id, r.playbook, r.target, r.lock_key, r.trigger, r.requested_by, t.state, t.waiting_for, t.changes,
    t.new_seq > t.last_seq AS grew
), written AS (
  INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash)
  SELECT e.run_id, e.seq, e.event::json, e.prev_hash, e.hash
  FROM unnest($11::uuid[], $12::int[], $13::text[], $14::bytea[], $15::bytea[]) AS e(run_id, seq, event, prev_hash, hash)
  JOIN held ON held.id = e.run_id
), changed AS (
  INSERT INTO paramedic.changes (run_id, playbook, target) SELECT id, playbook, target FROM held
  -- Putting back what a playbook did is not another try of it.
  WHERE changes AND trigger <> 'mitigation'
  ON CONFLICT (run_id) DO NOTHING
), asked AS (
  INSERT INTO paramedic.approvals
    (id, run_id, step, digest, effects, reasons, at_least, requested_by, expires_at, approvers)
  SELECT a.id, a.run_id, a.step, a.digest, a.effects, a.reasons, a.at_least, held.requested_by, a.expires_at,
    ARRAY(SELECT json_array_elements_text(a.approvers))
  FROM unnest($16::uuid[], $17::uuid[], $18::text[], $19::text[], $20::json[], $21::json[], $22::int[], $23::timestamptz[],
    $24::json[]) AS a(id, run_id, step, digest, effects, reasons, at_least, expires_at, approvers)
  JOIN held ON held.id = a.run_id
), closed AS (
  UPDATE paramedic.approvals a SET state = c.state, decided_at = now()
  FROM unnest($25::uuid[], $26::text[]) AS c(id, state), held
  WHERE a.id = c.id AND a.run_id = held.id AND a.state IN ('pending', 'approved')
), left_open AS (
  UPDATE paramedic.approvals a SET state = 'voided', decided_at = now()
  FROM held
  WHERE a.run_id = held.id AND held.state = 'ended' AND a.state || '' = 'pending' AND a.id <> ALL($25::uuid[])
), handed_over AS (
  INSERT INTO paramedic.escalations (run_id, policy, topic, recheck_at)
  SELECT t.run_id, t.policy, t.topic, CASE WHEN t.topic = 'handed-over' AND EXISTS (
    SELECT FROM paramedic.episodes e WHERE e.id = held.episode_id AND e.status = 'resolved')
    THEN now() + make_interval(secs => ${recheckAfterSeconds}) END
  FROM unnest($27::uuid[], $28::text[], $29::text[]) AS t(run_id, policy, topic) JOIN held ON held.id = t.run_id
  ${orBeginAnew}
), said AS (
  INSERT INTO paramedic.outbox (id, run_id, topic, way, policy, level, about)
  SELECT s.* FROM unnest($30::uuid[], $31::uuid[], $32::text[], $33::text[], $34::text[], $35::int[], $47::text[])
    AS s(id, run_id, topic, way, policy, level, about) JOIN held ON held.id = s.run_id
  ON CONFLICT (run_id, topic, about, way, policy, level) DO UPDATE
    SET state = CASE WHEN outbox.state = 'dead' THEN 'waiting' ELSE outbox.state END,
        attempts = CASE WHEN outbox.state = 'dead' THEN 0 ELSE outbox.attempts END,
        due_at = CASE WHEN outbox.state = 'dead' THEN now() ELSE coalesce(outbox.due_at, now()) END
    WHERE outbox.state IN ('waiting', 'following') OR (outbox.state = 'dead' AND outbox.topic = 'record')
), mitigated AS (
  INSERT INTO paramedic.mitigations (id, run_id, step, action, lock_key, plan, effects, revert_at, on_resolved, reason)
  SELECT m.id, m.run_id, m.step, m.action, held.lock_key, m.plan, m.effects, m.revert_at, m.on_resolved,
    CASE WHEN m.on_resolved AND EXISTS (
      SELECT FROM paramedic.episodes e WHERE e.id = held.episode_id AND e.status = 'resolved') THEN 'the alert resolved' END
  FROM unnest($36::uuid[], $37::uuid[], $38::text[], $39::text[], $40::json[], $41::json[], $42::timestamptz[], $43::boolean[])
    AS m(id, run_id, step, action, plan, effects, revert_at, on_resolved) JOIN held ON held.id = m.run_id
), put_back AS (
  UPDATE paramedic.mitigations m SET state = CASE WHEN e.reverted THEN 'reverted' ELSE 'failed' END, ended_at = now()
  FROM unnest($44::uuid[], $45::boolean[]) AS e(id, reverted), held
  WHERE m.id = e.id AND m.revert_run = held.id AND m.state = 'reverting'
), behind AS (
  UPDATE paramedic.outbox o SET due_at = coalesce(o.due_at, now())
  FROM held WHERE o.run_id = held.id AND held.grew AND o.state IN ('waiting', 'following')
    AND (o.run_id, o.topic, o.about, o.way, o.policy, o.level) NOT IN (
      SELECT * FROM unnest($31::uuid[], $32::text[], $47::text[], $33::text[], $34::text[], $35::int[]))
), freed AS (
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
SELECT found.id, held.id IS NOT NULL AS written, found.fence, found.state, found.last_seq,
  CASE WHEN held.id IS NULL THEN paramedic.paused() ELSE false END AS paused,
  (SELECT array_agg(woken.id) FROM woken WHERE woken.lock_key = held.lock_key) AS woken
FROM found LEFT JOIN held ON held.id = found.id`;
