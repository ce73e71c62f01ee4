/** Approvals as rows: asked by a run's worker, answered by people through one conditional update, read by everyone. */

import type pg from "pg";
import type { Answer, Answered, Approval, ApprovalDecision, ApprovalState, RefusedAnswer } from "../domain/approval.ts";
import type { NamesOf } from "../domain/approver.ts";
import type { AskReason } from "../domain/event.ts";
import { type Database, inTransaction } from "./connect.ts";
import { appendFromOutside } from "./outside.ts";

export interface Approvals {
  /**
   * Counts once, in time, for that digest, and not by whoever asked for the run. Who has approved may still decline, as
   * long as others are waited for. Makes the run due.
   */
  answer(answer: Answer): Promise<Answered>;
  /** Records that somebody who may not decide tried to; at most a hundred times for one approval. */
  refuse(approval: string, by: string, reason: string): Promise<void>;
  find(id: string): Promise<Approval | null>;
  /** Newest first, at most `limit`. */
  list(filter: { readonly state: ApprovalState | null; readonly limit: number }): Promise<readonly Approval[]>;
  /** The pending ones of the runs whose id begins with this, newest first. */
  pendingOf(runIdOrPrefix: string): Promise<readonly Approval[]>;
  ofRun(runId: string): Promise<readonly Approval[]>;
  pending(): Promise<number>;
}

/** `namesOf`: who is one person, however they answer; where it is left out, everybody has one name. */
export function createApprovals(database: Database, namesOf: NamesOf = (who) => [who]): Approvals {
  const { people } = database;
  return {
    answer: (answer) => inTransaction(people, (client) => decideOnce(client, answer, namesOf(answer.by))),
    refuse: (approval, by, reason) => inTransaction(people, (client) => recordRefusal(client, approval, by, reason)),
    find: async (id) => {
      const { rows } = await people.query<ApprovalRow>({ ...findSql, values: [id] });
      return rows[0] ? approvalOf(rows[0]) : null;
    },
    pendingOf: async (prefix) => {
      // A prefix is looked for among the pending ones, which are few; it is compared, and never a pattern.
      const { rows } = await people.query<ApprovalRow>(
        `${selectSql} WHERE a.state = 'pending' AND starts_with(a.run_id::text, lower($1)) ORDER BY a.id DESC LIMIT 100`,
        [prefix],
      );
      return rows.map(approvalOf);
    },
    list: async ({ state, limit }) => {
      const { rows } = await people.query<ApprovalRow>(
        `${selectSql} WHERE ($1::text IS NULL OR a.state = $1) ORDER BY a.id DESC LIMIT $2`,
        [state, limit],
      );
      return rows.map(approvalOf);
    },
    ofRun: async (runId) => {
      const { rows } = await people.query<ApprovalRow>(`${selectSql} WHERE a.run_id = $1 ORDER BY a.id`, [runId]);
      return rows.map(approvalOf);
    },
    pending: async () => {
      const { rows } = await people.query<{ count: number }>(
        "SELECT count(*)::int AS count FROM paramedic.approvals WHERE state = 'pending'",
      );
      return rows[0]?.count ?? 0;
    },
  };
}

async function decideOnce(client: pg.PoolClient, answer: Answer, names: readonly string[]): Promise<Answered> {
  // The run's row first: its worker locks in the same order.
  await client.query({
    name: "paramedic-hold-run-of-approval",
    text: "SELECT FROM paramedic.runs WHERE id = (SELECT run_id FROM paramedic.approvals WHERE id = $1) FOR NO KEY UPDATE",
    values: [answer.approval],
  });
  const { rows: updated } = await client.query<{ run_id: string; step: string; state: ApprovalState }>({
    name: "paramedic-answer",
    text: answerSql,
    values: [answer.approval, answer.digest, answer.by, answer.decision, answer.reason, names],
  });
  const { rows } = await client.query<ApprovalRow>({ ...findSql, values: [answer.approval] });
  const row = rows[0];
  if (!row) return { kind: "not-found" };
  const approval = approvalOf(row);
  const decided = updated[0];
  if (!decided) return { kind: whyRefused(row, answer, names), approval };
  await appendFromOutside(client, [
    {
      runId: decided.run_id,
      happening: {
        type: "approval-answered",
        step: decided.step,
        approval: answer.approval,
        decision: answer.decision,
        by: answer.by,
        reason: answer.reason,
        state: decided.state as "pending" | "approved" | "declined",
      },
    },
  ]);
  return { kind: "answered", approval };
}

/** One approval's history is not filled by somebody who presses on. */
const mostRefusals = 100;

async function recordRefusal(client: pg.PoolClient, approval: string, by: string, reason: string): Promise<void> {
  const { rows } = await client.query<{ run_id: string; step: string }>(
    `SELECT a.run_id, a.step FROM paramedic.approvals a JOIN paramedic.runs r ON r.id = a.run_id
     WHERE a.id = $1 FOR NO KEY UPDATE OF r`,
    [approval],
  );
  const row = rows[0];
  if (!row) return;
  const { rows: before } = await client.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM paramedic.run_events
     WHERE run_id = $1 AND event ->> 'type' = 'answer-refused' AND event ->> 'approval' = $2`,
    [row.run_id, approval],
  );
  if ((before[0]?.count ?? 0) >= mostRefusals) return;
  const happening = { type: "answer-refused", step: row.step, approval, by, reason } as const;
  await appendFromOutside(client, [{ runId: row.run_id, happening }], { evenEnded: true });
}

const answerSql = `
UPDATE paramedic.approvals SET
  decisions = decisions || jsonb_build_object('decision', $4::text, 'by', $3::text, 'reason', $5::text,
    'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')),
  state = CASE WHEN $4 = 'decline' THEN 'declined'
    WHEN jsonb_array_length(decisions) + 1 >= at_least THEN 'approved' ELSE 'pending' END,
  decided_at = CASE WHEN $4 = 'decline' OR jsonb_array_length(decisions) + 1 >= at_least THEN now() END
WHERE id = $1 AND digest = $2 AND state = 'pending' AND expires_at > now()
  AND ($4 = 'decline' OR (requested_by = ANY($6::text[])) IS NOT TRUE)
  AND ($4 = 'decline' OR NOT EXISTS (SELECT FROM jsonb_array_elements(decisions) d WHERE d ->> 'by' = ANY($6::text[])))
RETURNING run_id, step, state`;

function whyRefused(row: ApprovalRow, answer: Answer, names: readonly string[]): RefusedAnswer {
  if (row.state === "expired" || (row.state === "pending" && !row.in_time)) return "expired";
  if (row.state !== "pending") return "already-decided";
  if (row.digest !== answer.digest) return "digest-changed";
  if (row.requested_by !== null && names.includes(row.requested_by)) return "own-request";
  return "answered-before";
}

interface ApprovalRow {
  readonly id: string;
  readonly run_id: string;
  readonly playbook: string;
  readonly target: string;
  readonly step: string;
  readonly digest: string;
  readonly effects: readonly string[];
  readonly reasons: readonly AskReason[];
  readonly state: ApprovalState;
  readonly at_least: number;
  readonly approvers: readonly string[];
  readonly requested_by: string | null;
  readonly requested_at: Date;
  readonly expires_at: Date;
  readonly decided_at: Date | null;
  readonly decisions: readonly ApprovalDecision[];
  readonly in_time: boolean;
}

const selectSql = `
SELECT a.id, a.run_id, r.playbook, r.target, a.step, a.digest, a.effects, a.reasons, a.state, a.at_least, a.approvers,
  a.requested_by, a.requested_at, a.expires_at, a.decided_at, a.decisions, a.expires_at > now() AS in_time
FROM paramedic.approvals a JOIN paramedic.runs r ON r.id = a.run_id`;

const findSql = { name: "paramedic-find-approval", text: `${selectSql} WHERE a.id = $1` };

function approvalOf(row: ApprovalRow): Approval {
  return {
    id: row.id,
    runId: row.run_id,
    playbook: row.playbook,
    target: row.target === "" ? null : row.target,
    step: row.step,
    digest: row.digest,
    effects: row.effects,
    reasons: row.reasons,
    state: row.state,
    atLeast: row.at_least,
    approvers: row.approvers,
    requestedBy: row.requested_by,
    requestedAt: row.requested_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    decidedAt: row.decided_at?.toISOString() ?? null,
    decisions: row.decisions,
  };
}
