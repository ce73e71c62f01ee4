/** What goes wrong with telling people: what was given up, what fails, and trying it once more. */

import { isOver } from "./escalate.ts";

/** A message that is older is history: it is neither a trouble nor tried again. */
const isRecent = "settled_at > now() - interval '7 days'";

/** An escalation that was given up since no worker knew its policy, and that still concerns somebody. */
export const isGivenUp = `e.due_at IS NULL AND e.unknown_since > now() - interval '7 days'
  AND e.acknowledged_at IS NULL AND e.recovered_at IS NULL AND NOT ${isOver}`;

/** An approval that waits, that could not be asked for, and whose playbook names no policy by which people would be told. */
const nobodyKnows = `a.state = 'pending' AND a.asked_at IS NULL AND a.unasked_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM paramedic.escalations e
    WHERE e.run_id = a.run_id AND e.topic = 'approval-unasked' AND e.about = a.id::text)`;

export const troublesSql = `
SELECT (SELECT count(*)::int FROM paramedic.outbox WHERE state = 'dead' AND ${isRecent})
  + (SELECT count(*)::int FROM paramedic.escalations e JOIN paramedic.runs r ON r.id = e.run_id WHERE ${isGivenUp})
  + (SELECT count(*)::int FROM paramedic.approvals a WHERE ${nobodyKnows}) AS dead,
  (SELECT count(*)::int FROM paramedic.outbox
   WHERE state IN ('waiting', 'following') AND due_at IS NOT NULL AND last_error IS NOT NULL)
  + (SELECT count(*)::int FROM paramedic.escalations
     WHERE due_at IS NOT NULL AND acknowledged_at IS NULL AND recovered_at IS NULL
       AND (unknown_since IS NOT NULL OR due_at < now() - interval '2 minutes')) AS failing`;

// In the order of the ids, as everybody does who waits for such locks.
export const reviveSql = `
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

// Where nobody was told yet, the time of the levels begins now.
export const reviveEscalationsSql = `
WITH given_up AS (
  SELECT e.run_id FROM paramedic.escalations e JOIN paramedic.runs r ON r.id = e.run_id
  WHERE ${isGivenUp} ORDER BY e.run_id FOR UPDATE OF e SKIP LOCKED
)
UPDATE paramedic.escalations e
SET due_at = now(), unknown_since = NULL, began_at = CASE WHEN e.next_level = 0 THEN now() ELSE e.began_at END
FROM given_up WHERE e.run_id = given_up.run_id`;
