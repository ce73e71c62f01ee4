/** The outbox: everything that is told to people is a row first, delivered at least once, in order per run and way. */

import type { Followed } from "../domain/followed.ts";
import type { JsonObject } from "../domain/json.ts";
import type { Topic } from "../domain/topic.ts";
import type { Database } from "./connect.ts";
import type { OutboxMessage, Settled } from "./outbox-message.ts";
import { settle, withdraw } from "./outbox-settle.ts";
import { takeSql } from "./outbox-take.ts";
import { reviveEscalationsSql, reviveSql, troublesSql } from "./outbox-troubles.ts";

export type { OutboxMessage, Settled } from "./outbox-message.ts";

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
    settle: (message, followed) => settle(pool, message, followed),
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

interface TakenRow extends Omit<OutboxMessage, "runId" | "shownSeq"> {
  readonly run_id: string;
  readonly shown_seq: number;
}

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
