/** SQL that several parts share: how an escalation begins, or begins anew for a better reason, and when it is over. */

/**
 * What stands after `INSERT INTO escalations`. People who were told for one reason are told again for the next one. Who has a page has what comes of it, too; who has
 * a question does not have the failure that comes after it. Nobody is told where it is over. The clock of the levels goes on from the first telling.
 */
export const orBeginAnew = `ON CONFLICT (run_id) DO UPDATE
    SET topic = excluded.topic, about = excluded.about, policy = excluded.policy, held = false, next_level = 0,
        due_at = now(), recheck_at = excluded.recheck_at, recheck_host = NULL,
        acknowledged_by = CASE WHEN escalations.topic <> 'approval-unasked' THEN escalations.acknowledged_by END,
        acknowledged_at = CASE WHEN escalations.topic <> 'approval-unasked' THEN escalations.acknowledged_at END,
        began_at = CASE WHEN escalations.held THEN now() ELSE escalations.began_at END
    WHERE escalations.recovered_at IS NULL
      AND (escalations.held OR escalations.topic <> excluded.topic OR escalations.about <> excluded.about)`;

/** Of the escalation `e` of the run `r`: the run has ended without being handed over, or the approval that could not be asked for is decided. */
export const isOver = `((e.topic <> 'handed-over' AND r.state = 'ended')
    OR (e.topic = 'approval-unasked' AND NOT EXISTS (
      SELECT FROM paramedic.approvals a WHERE a.run_id = e.run_id AND a.state = 'pending')))`;
