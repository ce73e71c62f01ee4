/** The outbox: everything that is told to people is a row first, delivered at least once, in order per run and way. */

import type pg from "pg";
import { deliveryDelaysMs } from "../domain/escalation.ts";
import type { Followed } from "../domain/followed.ts";
import type { JsonObject } from "../domain/json.ts";
import type { Topic } from "../domain/topic.ts";
import { type Database, inTransaction } from "./connect.ts";
import { isOver } from "./escalate.ts";
import { appendFromOutside } from "./outside.ts";

/** A message in the hands of one deliverer, until its lease ends or another one takes it. */
export interface OutboxMessage {
  readonly id: string;
  readonly runId: string;
  readonly topic: Topic;
  /** What exactly it is about, where the topic alone does not say: the step that reports. */
  readonly about: string;
  readonly way: string;
  readonly policy: string;
  /** Counted from 0. */
  readonly level: number;
  /** With this one, since the last success; from 1. What stopped with its process is not counted. */
  readonly attempts: number;
  /** How often it was taken since it was last settled, with this time; from 1. */
  readonly taken: number;
  readonly place: JsonObject | null;
  readonly shownSeq: number;
  readonly fence: number;
}

/**
 * `withdrawn`: somebody has what it was about. `again`: it is tried later. `dead`: nobody tries any more, and it was never told. `given-up`: it was told, and cannot be
 * brought up to date. `lost`: another deliverer has it.
 */
export type Settled = "done" | "withdrawn" | "again" | "dead" | "given-up" | "lost";

/** A page about a run. `level` counts from 0. */
export interface OtherPage {
  readonly topic: Topic;
  readonly policy: string;
  readonly level: number;
  /** Whether somebody has the run. */
  readonly acknowledged: boolean;
}

export interface Outbox {
  /**
   * Takes what is due by any other way than `busyWays` and nobody delivers, for `leaseMs`: of each way at most 20, what
   * wakes or asks somebody first.
   */
  take(leaseMs: number, busyWays?: readonly string[]): Promise<readonly OutboxMessage[]>;
  /** Records how it went, and tells the run's history where somebody was told, or nobody will be. */
  settle(message: OutboxMessage, followed: Followed): Promise<Settled>;
  /** It need not be told any more. */
  withdraw(message: OutboxMessage, reason: string): Promise<void>;
  /**
   * Tries again what was given up in the last week, and returns how much that is: whoever starts a process may have
   * corrected what was wrong. What would announce a run that is over is withdrawn. Escalations whose policy nobody knew
   * are among it.
   */
  revive(): Promise<number>;
  /** Where a run's own message stands in Slack; null: it has none. */
  recordPlace(runId: string): Promise<JsonObject | null>;
  /** The pages at PagerDuty about other runs of the same episode that were told and are not over. */
  otherPages(runId: string): Promise<readonly OtherPage[]>;
  /**
   * How many messages were given up in the last week, and how many have failed and are tried again; with them the
   * escalations whose policy no worker knows, those that are due and nobody looks at, and the approvals that wait and
   * that nobody knows of.
   */
  troubles(): Promise<{ readonly dead: number; readonly failing: number }>;
}

export function createOutbox(database: Database): Outbox {
  const { pool, people } = database;
  return {
    take: async (leaseMs, busyWays = []) => {
      const { rows } = await pool.query<TakenRow>({
        name: "paramedic-take-messages",
        text: takeSql,
        values: [leaseMs / 1000, busyWays],
      });
      return rows.map(({ run_id: runId, shown_seq: shownSeq, ...row }) => ({ ...row, runId, shownSeq }));
    },
    settle: (message, followed) => {
      // What brings a message up to date is most of it: the run's row is not kept from its worker for several round trips.
      if (followed.ok && followed.told === null) return succeed(pool, message, followed);
      return inTransaction(pool, async (client) => {
        if (!followed.ok) return fail(client, message, followed);
        const settled = await succeed(client, message, followed);
        if (settled === "done" && followed.told !== null)
          await say(client, message, {
            type: "told",
            to: followed.told,
            ...(followed.refused === undefined ? {} : { refused: followed.refused }),
          });
        return settled;
      });
    },
    withdraw: async (message, reason) => {
      await withdraw(pool, message, reason);
    },
    revive: async () => {
      const { rows } = await pool.query<{ state: string }>(reviveSql);
      const { rowCount } = await pool.query(reviveEscalationsSql);
      return rows.filter(({ state }) => state !== "withdrawn").length + (rowCount ?? 0);
    },
    recordPlace: async (runId) => {
      const { rows } = await people.query<{ place: JsonObject | null }>({
        name: "paramedic-record-place",
        text: "SELECT place FROM paramedic.outbox WHERE run_id = $1 AND topic = 'record' AND way = 'slack'",
        values: [runId],
      });
      return rows[0]?.place ?? null;
    },
    otherPages: async (runId) => (await people.query<OtherPage>(otherPagesSql, [runId])).rows,
    troubles: async () => {
      const { rows } = await people.query<{ dead: number; failing: number }>(troublesSql);
      return rows[0] ?? { dead: 0, failing: 0 };
    },
  };
}

/** In one statement. */
async function succeed(
  client: pg.Pool | pg.PoolClient,
  message: OutboxMessage,
  { place, shownSeq, done }: Extract<Followed, { ok: true }>,
): Promise<"done" | "lost"> {
  const { rowCount } = await client.query({
    name: "paramedic-settle-message",
    text: succeedSql,
    values: [
      message.id,
      message.fence,
      message.runId,
      done ? "delivered" : "following",
      place,
      shownSeq,
      askedIn(place),
    ],
  });
  return rowCount ? "done" : "lost";
}

async function fail(
  client: pg.PoolClient,
  message: OutboxMessage,
  followed: Extract<Followed, { ok: false }>,
): Promise<Settled> {
  const { place, shownSeq, reason, retryable, retryAfterMs = 0, throttled = false } = followed;
  await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [message.runId]);
  // An acknowledgement holds the run too: it comes before this and is seen, or after and withdraws the message.
  if (shownSeq === 0 && (await isAcknowledged(client, message))) return withdraw(client, message, reason);
  const wasTold = shownSeq > 0;
  const delay = retryable ? delayAfter(message.attempts, throttled, retryAfterMs) : undefined;
  const state = nextState(delay !== undefined, wasTold, retryable);
  const { rowCount } = await client.query(
    `UPDATE paramedic.outbox
     SET state = $3, taken = 0,
         attempts = CASE WHEN $8 AND created_at > now() - ${throttledFor} THEN attempts - 1 ELSE attempts END, place = $4, shown_seq = $5, lease_until = NULL, last_error = $6, throttled = $8,
         due_at = CASE WHEN $7::float8 IS NOT NULL THEN now() + make_interval(secs => $7) END,
         settled_at = CASE WHEN $7::float8 IS NULL THEN now() END
     WHERE id = $1 AND fence = $2 AND state IN ('waiting', 'following')`,
    [message.id, message.fence, state, place, shownSeq, reason, delay === undefined ? null : delay / 1000, throttled],
  );
  if (!rowCount) return "lost";
  await markAsked(client, place);
  if (delay !== undefined) return "again";
  if (wasTold) return state === "dead" ? "dead" : "given-up";
  await say(client, message, { type: "not-told", reason });
  return "dead";
}

/** A refusal for the moment says nothing of the message, and is no attempt; a place that takes nothing for so long is one that fails. */
const throttledFor = "interval '1 hour'";

/** In milliseconds; undefined: it is given up. Whoever says when to come back is taken at their word. */
function delayAfter(attempts: number, throttled: boolean, retryAfterMs: number): number | undefined {
  const usual = deliveryDelaysMs[attempts - 1];
  if (usual === undefined) return undefined;
  return throttled && retryAfterMs > 0 ? retryAfterMs : Math.max(usual, retryAfterMs);
}

async function isAcknowledged(client: pg.PoolClient, message: OutboxMessage): Promise<boolean> {
  if (!escalationTopics.has(message.topic)) return false;
  const { rowCount } = await client.query(
    "SELECT FROM paramedic.escalations WHERE run_id = $1 AND acknowledged_at IS NOT NULL",
    [message.runId],
  );
  return rowCount === 1;
}

const escalationTopics: ReadonlySet<Topic> = new Set(["handed-over", "held", "approval-unasked"]);

async function withdraw(
  client: pg.Pool | pg.PoolClient,
  message: OutboxMessage,
  reason: string,
): Promise<"withdrawn" | "lost"> {
  const { rowCount } = await client.query(
    `UPDATE paramedic.outbox SET state = 'withdrawn', settled_at = now(), lease_until = NULL, last_error = $3
     WHERE id = $1 AND fence = $2 AND state IN ('waiting', 'following')`,
    [message.id, message.fence, reason],
  );
  return rowCount ? "withdrawn" : "lost";
}

/** What was told once and cannot be brought up to date for good is over; what was tried in vain is a dead letter. */
function nextState(
  again: boolean,
  wasTold: boolean,
  retryable: boolean,
): "waiting" | "following" | "delivered" | "dead" {
  if (again) return wasTold ? "following" : "waiting";
  return wasTold && !retryable ? "delivered" : "dead";
}

/** The place of a run's own message names the approval that people can see there. */
function askedIn(place: JsonObject | null): string | null {
  const asked = place?.["asked"];
  return typeof asked === "string" ? asked : null;
}

async function markAsked(client: pg.PoolClient, place: JsonObject | null): Promise<void> {
  const asked = askedIn(place);
  if (asked === null) return;
  await client.query("UPDATE paramedic.approvals SET asked_at = now() WHERE id = $1 AND asked_at IS NULL", [asked]);
}

/** Adds to the story who was told, or that nobody could be. */
async function say(
  client: pg.PoolClient,
  message: OutboxMessage,
  what:
    | { readonly type: "told"; readonly to: string; readonly refused?: string }
    | { readonly type: "not-told"; readonly reason: string },
): Promise<void> {
  const { runId, way, topic, about } = message;
  const happening = {
    ...what,
    way,
    topic,
    level: message.level + 1,
    ...(what.type === "told" && about !== "" ? { about } : {}),
  };
  await appendFromOutside(client, [{ runId, happening }], { evenEnded: true });
}

/** More at once would only wait their turn with whoever has taken them. */
const mostTakenOfOneWay = 20;

interface TakenRow extends Omit<OutboxMessage, "runId" | "shownSeq"> {
  readonly run_id: string;
  readonly shown_seq: number;
}

/** A message that is older is history: it is neither a trouble nor tried again. */
const isRecent = "settled_at > now() - interval '7 days'";

/** An escalation that was given up since no worker knew its policy, and that still concerns somebody. */
export const isGivenUp = `e.due_at IS NULL AND e.unknown_since > now() - interval '7 days'
  AND e.acknowledged_at IS NULL AND e.recovered_at IS NULL AND NOT ${isOver}`;

/** An approval that waits, that could not be asked for, and whose playbook names no policy by which people would be told. */
const nobodyKnows = `a.state = 'pending' AND a.asked_at IS NULL AND a.unasked_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM paramedic.escalations e
    WHERE e.run_id = a.run_id AND e.topic = 'approval-unasked' AND e.about = a.id::text)`;

const troublesSql = `
SELECT (SELECT count(*)::int FROM paramedic.outbox WHERE state = 'dead' AND ${isRecent})
  + (SELECT count(*)::int FROM paramedic.escalations e JOIN paramedic.runs r ON r.id = e.run_id WHERE ${isGivenUp})
  + (SELECT count(*)::int FROM paramedic.approvals a WHERE ${nobodyKnows}) AS dead,
  (SELECT count(*)::int FROM paramedic.outbox
   WHERE state IN ('waiting', 'following') AND due_at IS NOT NULL AND last_error IS NOT NULL)
  + (SELECT count(*)::int FROM paramedic.escalations
     WHERE due_at IS NOT NULL AND acknowledged_at IS NULL AND recovered_at IS NULL
       AND (unknown_since IS NOT NULL OR due_at < now() - interval '2 minutes')) AS failing`;

// A run that ended well is over, and so is one that has recovered since; nothing to do is well where that was measured.
const otherPagesSql = `
SELECT o.topic, o.policy, o.level, e.acknowledged_at IS NOT NULL AS acknowledged
FROM paramedic.runs mine
  JOIN paramedic.runs r ON r.episode_id = mine.episode_id AND r.id <> mine.id
  JOIN paramedic.outbox o ON o.run_id = r.id
  LEFT JOIN paramedic.escalations e ON e.run_id = r.id
WHERE mine.id = $1 AND o.way = 'pagerduty' AND o.topic <> 'changes' AND o.state = 'following' AND o.shown_seq > 0
  AND e.recovered_at IS NULL AND r.outcome IS DISTINCT FROM 'fixed' AND r.outcome IS DISTINCT FROM 'resolved'
  AND NOT (r.outcome IS NOT DISTINCT FROM 'nothing-to-do' AND EXISTS (
    SELECT FROM paramedic.run_events v WHERE v.run_id = r.id
      AND v.event ->> 'type' = 'verification-checked' AND (v.event ->> 'passed')::boolean))`;

// In the order of the ids, as everybody does who waits for such locks.
const reviveSql = `
WITH dead AS (
  SELECT o.id, o.topic = 'announcement' AND o.shown_seq = 0 AND r.state = 'ended' AS is_over
  FROM paramedic.outbox o JOIN paramedic.runs r ON r.id = o.run_id
  WHERE o.state = 'dead' AND ${isRecent} ORDER BY o.id FOR UPDATE OF o SKIP LOCKED
)
UPDATE paramedic.outbox o
SET state = CASE WHEN is_over THEN 'withdrawn' WHEN o.shown_seq > 0 THEN 'following' ELSE 'waiting' END,
    attempts = 0, taken = 0, due_at = now()
FROM dead WHERE o.id = dead.id
RETURNING o.state`;

// Whoever adds to the history holds the run: what is shown is compared with a history that does not grow meanwhile.
const succeedSql = `
WITH held AS MATERIALIZED (
  SELECT r.last_seq FROM paramedic.runs r WHERE r.id = $3 FOR NO KEY UPDATE
), settled AS (
  UPDATE paramedic.outbox o
  SET state = $4, attempts = 0, taken = 0, place = $5, shown_seq = $6, lease_until = NULL, last_error = NULL,
      due_at = CASE WHEN $4 = 'following' AND held.last_seq > $6 THEN now() END, settled_at = now()
  FROM held
  WHERE o.id = $1 AND o.fence = $2 AND o.state IN ('waiting', 'following')
  RETURNING o.id
), asked AS (
  UPDATE paramedic.approvals SET asked_at = now()
  WHERE id = $7 AND asked_at IS NULL AND EXISTS (SELECT FROM settled)
)
SELECT id FROM settled`;

// Where nobody was told yet, the time of the levels begins now.
const reviveEscalationsSql = `
WITH given_up AS (
  SELECT e.run_id FROM paramedic.escalations e JOIN paramedic.runs r ON r.id = e.run_id
  WHERE ${isGivenUp} ORDER BY e.run_id FOR UPDATE OF e SKIP LOCKED
)
UPDATE paramedic.escalations e
SET due_at = now(), unknown_since = NULL, began_at = CASE WHEN e.next_level = 0 THEN now() ELSE e.began_at END
FROM given_up WHERE e.run_id = given_up.run_id`;

// Of each way as many, whatever the others have to do. Nothing else is looked through: each way is found from the one before it.
const waysSql = `
  (SELECT d.way FROM paramedic.outbox d
   WHERE d.state IN ('waiting', 'following') AND d.due_at IS NOT NULL AND d.way > '' ORDER BY d.way LIMIT 1)
  UNION ALL
  SELECT (SELECT d.way FROM paramedic.outbox d
    WHERE d.state IN ('waiting', 'following') AND d.due_at IS NOT NULL AND d.way > ways.way ORDER BY d.way LIMIT 1)
  FROM ways WHERE ways.way IS NOT NULL`;

// First attempts go in order, one at a time. What has failed once is out of the queue: a dead mailbox must not silence the next level.
const isTheTurnOf = `w.way = ways.way AND w.state IN ('waiting', 'following') AND w.due_at <= now()
      AND (w.lease_until IS NULL OR w.lease_until <= now())
      AND NOT EXISTS (
        SELECT FROM paramedic.outbox e
        WHERE e.run_id = w.run_id AND e.way = w.way AND e.state = 'waiting' AND e.id < w.id
          AND (e.attempts = 0 OR (e.attempts = 1 AND e.lease_until > now())))`;

/**
 * Somebody is to be woken, or asked what nobody was asked yet. What the question has to follow goes with it. A run's
 * approvals are looked up by the run: all that wait may be many.
 */
const isUrgent = `((w.shown_seq = 0 AND w.topic IN ('handed-over', 'held', 'approval-unasked'))
      OR (w.way = 'slack' AND (w.topic = 'record' OR w.shown_seq = 0) AND (
        SELECT true FROM paramedic.approvals a
        WHERE a.run_id = w.run_id AND a.state || '' = 'pending' AND a.asked_at IS NULL LIMIT 1)))`;

// A lease that nobody gave back is of a process that stopped: that was no attempt.
const takeSql = `
WITH RECURSIVE ways AS (${waysSql}), free AS (
  SELECT way FROM ways WHERE way <> ALL($2::text[])
), urgent AS MATERIALIZED (
  SELECT ways.way, turn.id FROM free ways CROSS JOIN LATERAL (
    SELECT w.id FROM paramedic.outbox w WHERE ${isTheTurnOf} AND ${isUrgent}
    ORDER BY w.due_at LIMIT ${mostTakenOfOneWay} FOR UPDATE SKIP LOCKED) AS turn
), others AS MATERIALIZED (
  SELECT turn.id FROM free ways CROSS JOIN LATERAL (
    SELECT w.id FROM paramedic.outbox w
    WHERE ${isTheTurnOf} AND NOT EXISTS (SELECT FROM urgent u WHERE u.id = w.id)
    ORDER BY w.due_at LIMIT ${mostTakenOfOneWay} - (SELECT count(*) FROM urgent u WHERE u.way = ways.way)
    FOR UPDATE SKIP LOCKED) AS turn
)
UPDATE paramedic.outbox o
SET lease_until = now() + make_interval(secs => $1), fence = o.fence + 1, taken = o.taken + 1,
    attempts = CASE WHEN o.lease_until IS NULL THEN o.attempts + 1 ELSE o.attempts END
WHERE o.id = ANY(ARRAY(SELECT id FROM urgent UNION ALL SELECT id FROM others))
RETURNING o.id, o.run_id, o.topic, o.about, o.way, o.policy, o.level, o.attempts, o.taken, o.place, o.shown_seq, o.fence`;
