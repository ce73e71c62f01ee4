/** What budgets and cool-downs need to know: which runs of a playbook have changed a target, and when. */

import type { BudgetUse } from "../domain/event.ts";
import type { Budget } from "../domain/playbook.ts";
import type { Database } from "./connect.ts";

export interface RailsQuestion {
  readonly runId: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly budget: readonly Budget[];
  readonly cooldownMs: number | null;
}

export interface RailsAnswer {
  readonly budget: readonly BudgetUse[];
  /** RFC 3339; null where no cool-down is in force. */
  readonly coolDownUntil: string | null;
}

export type ReadRails = (question: RailsQuestion) => Promise<RailsAnswer>;

/**
 * Counts the other runs of this playbook that changed this target in each window. Whoever asks holds the lock of the
 * target, so no other run of it can come in between.
 */
export function createReadRails(database: Database): ReadRails {
  return async (question) => {
    const { rows } = await database.pool.query<{ used: number[] | null; cool_down_until: Date | null }>(
      `SELECT
         (SELECT array_agg((SELECT count(*)::int FROM paramedic.changes c
             WHERE c.playbook = $2 AND c.target = $3 AND c.run_id <> $1 AND c.at > now() - make_interval(secs => w.seconds))
           ORDER BY w.place)
          FROM unnest($4::float8[]) WITH ORDINALITY AS w(seconds, place)) AS used,
         (SELECT max(c.at) + make_interval(secs => $5::float8) FROM paramedic.changes c
          WHERE c.playbook = $2 AND c.target = $3 AND c.run_id <> $1
            AND c.at > now() - make_interval(secs => $5::float8)) AS cool_down_until`,
      [
        question.runId,
        question.playbook,
        question.target ?? "",
        question.budget.map((window) => window.windowMs / 1000),
        (question.cooldownMs ?? 0) / 1000,
      ],
    );
    const row = rows[0];
    return {
      budget: question.budget.map((window, index) => ({ ...window, used: row?.used?.[index] ?? 0 })),
      coolDownUntil: row?.cool_down_until?.toISOString() ?? null,
    };
  };
}
