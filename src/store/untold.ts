/** Which escalations have reached nobody: what the heartbeat to the outside is withheld for. */

import type { Database } from "./connect.ts";
import { isOver } from "./escalate.ts";
import { isGivenUp } from "./outbox-troubles.ts";

/** Each counts only where no way has told of it, nobody has it, and it is not over. */
export interface Untold {
  /** Given up by some way in the last week, or as a whole, since no worker knew the policy. */
  readonly dead: number;
  /**
   * Failing for a minute, or kept waiting for ten, by whatever: somebody throttles us, say. With them those whose policy
   * no worker has known for a minute, and those at whose levels nobody has looked for two.
   */
  readonly failing: number;
  /** For how many seconds the oldest of them that is due has waited to be delivered; 0: none waits. */
  readonly oldestSeconds: number;
}

/** Prepares the look. */
export function createUntold(database: Database): () => Promise<Untold> {
  return async () => {
    const { rows } = await database.people.query<Untold>(untoldSql);
    return rows[0] as Untold;
  };
}

/** Of the message `o` of the run `r`: it is of an escalation that still concerns somebody, and that nobody was told of. */
const reachedNobody = `o.topic IN ('handed-over', 'held', 'approval-unasked') AND o.shown_seq = 0
    AND e.topic = o.topic AND e.about = o.about
    AND e.acknowledged_at IS NULL AND e.recovered_at IS NULL AND NOT ${isOver}
    AND NOT EXISTS (
      SELECT FROM paramedic.outbox t
      WHERE t.run_id = o.run_id AND t.topic = o.topic AND t.about = o.about
        AND (t.shown_seq > 0 OR t.place ? 'reached'))`;

const ofEscalations = `paramedic.outbox o
    JOIN paramedic.runs r ON r.id = o.run_id JOIN paramedic.escalations e ON e.run_id = o.run_id`;

const untoldSql = `
WITH waiting AS (
  SELECT o.due_at, o.created_at < now() - CASE WHEN o.last_error IS NULL OR o.throttled THEN interval '10 minutes' ELSE interval '1 minute' END AS failing
  FROM ${ofEscalations}
  WHERE o.state = 'waiting' AND o.due_at IS NOT NULL AND ${reachedNobody}
)
SELECT (SELECT count(*)::int FROM ${ofEscalations}
    WHERE o.state = 'dead' AND o.settled_at > now() - interval '7 days' AND ${reachedNobody})
  + (SELECT count(*)::int FROM paramedic.escalations e JOIN paramedic.runs r ON r.id = e.run_id WHERE ${isGivenUp}) AS dead,
  (SELECT count(*)::int FROM waiting WHERE failing)
  + (SELECT count(*)::int FROM paramedic.escalations
     WHERE due_at IS NOT NULL AND acknowledged_at IS NULL AND recovered_at IS NULL
       AND (unknown_since < now() - interval '1 minute' OR due_at < now() - interval '2 minutes')) AS failing,
  coalesce((SELECT extract(epoch FROM now() - min(due_at))::float8 FROM waiting WHERE due_at < now()), 0) AS "oldestSeconds"`;
