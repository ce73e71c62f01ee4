/** Which messages are taken next: of each way a few, what wakes or asks somebody first, each by one deliverer. */

/** More at once would only wait their turn with whoever has taken them. */
const mostTakenOfOneWay = 20;

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
export const takeSql = `
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
