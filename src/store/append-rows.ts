/** What one write of runs stores: the rows of each table that follow from the events. */

import type { DatedHappening, Happening } from "../domain/event.ts";
import type { Standing } from "../domain/run.ts";
import type { Link } from "./chain.ts";
import { given } from "./given.ts";
import { saidOf, type Telling } from "./said.ts";

export interface Append {
  readonly runId: string;
  readonly fence: number;
  readonly lastSeq: number;
  readonly lastHash: Buffer;
  readonly happenings: readonly DatedHappening[];
  readonly standing: Standing;
}

/** The tables that the statement in append.ts is given. */
export const tables = given({
  heads: {
    id: "uuid",
    fence: "int",
    last_seq: "int",
    new_seq: "int",
    new_hash: "bytea",
    state: "text",
    waiting_for: "text",
    due_at: "timestamptz",
    outcome: "text",
    host: "text",
    /** Whether a change is about to begin, which the kill switch and a lost lease forbid. */
    intent: "boolean",
    /** Whether it is a change that counts for budget and cool-down: what is said to people does not. */
    changes: "boolean",
  },
  events: { run_id: "uuid", seq: "int", event: "text", prev_hash: "bytea", hash: "bytea" },
  asked: {
    id: "uuid",
    run_id: "uuid",
    step: "text",
    digest: "text",
    effects: "json",
    reasons: "json",
    at_least: "int",
    expires_at: "timestamptz",
    approvers: "json",
  },
  closing: { id: "uuid", state: "text" },
  escalated: { run_id: "uuid", policy: "text", topic: "text" },
  telling: { id: "uuid", run_id: "uuid", topic: "text", about: "text", way: "text", policy: "text", level: "int" },
  began: {
    id: "uuid",
    run_id: "uuid",
    step: "text",
    action: "text",
    plan: "json",
    effects: "json",
    revert_at: "timestamptz",
    on_resolved: "boolean",
    revert_on: "json",
  },
  ended: { id: "uuid", reverted: "boolean" },
});

type Rows = Parameters<typeof tables.values>[0];
type Of<Type extends Happening["type"]> = Extract<Happening, { type: Type }>;

/** `links` are the events of each append, in the same order. */
export function rowsOf(appends: readonly Append[], links: readonly (readonly Link[])[], telling: Telling): Rows {
  const happenings = appends.flatMap(({ runId, happenings }) => happenings.map((of) => ({ runId, of })));
  const allOf = <Type extends Happening["type"]>(...types: readonly Type[]) =>
    happenings.filter((one): one is { runId: string; of: Of<Type> & { at: string } } =>
      (types as readonly string[]).includes(one.of.type),
    );
  return {
    heads: appends.map((append, index) => headOf(append, links[index]?.at(-1))),
    events: appends.flatMap(({ runId }, index) =>
      (links[index] ?? []).map(({ seq, text, prevHash, hash }) => ({
        run_id: runId,
        seq,
        event: text,
        prev_hash: prevHash,
        hash,
      })),
    ),
    asked: allOf("approval-requested").map(({ runId, of }) => ({
      id: of.approval,
      run_id: runId,
      step: of.step,
      digest: of.digest,
      effects: JSON.stringify(of.effects),
      reasons: JSON.stringify(of.reasons),
      at_least: of.atLeast,
      expires_at: of.expiresAt,
      approvers: JSON.stringify(of.approvers ?? []),
    })),
    closing: allOf("approval-expired", "approval-voided").map(({ of }) => ({
      id: of.approval,
      state: of.type === "approval-expired" ? "expired" : "voided",
    })),
    // Only an escalation with a policy has levels; without one, the log and the metric are all there is.
    escalated: allOf("escalated")
      .filter(({ of }) => of.policy !== null)
      .map(({ runId, of }) => ({ run_id: runId, policy: of.policy, topic: of.topic ?? "handed-over" })),
    telling: happenings
      .flatMap(({ runId, of }) => saidOf(runId, of, telling))
      .map(({ runId, ...said }) => ({ ...said, run_id: runId })),
    began: allOf("mitigation-began").map(({ runId, of }) => ({
      id: of.mitigation,
      run_id: runId,
      step: of.step,
      action: of.action,
      plan: JSON.stringify(of.plan),
      effects: JSON.stringify(of.effects),
      revert_at: of.revertAt,
      on_resolved: of.onResolved,
      revert_on: JSON.stringify(of.onEnd ?? []),
    })),
    ended: allOf("mitigation-ended").map(({ of }) => ({ id: of.mitigation, reverted: of.reverted })),
  };
}

function headOf(append: Append, last: Link | undefined): Rows["heads"][number] {
  const { standing } = append;
  const started = append.happenings.filter((one) => one.type === "step-started");
  return {
    id: append.runId,
    fence: append.fence,
    last_seq: append.lastSeq,
    new_seq: last?.seq ?? append.lastSeq,
    new_hash: last?.hash ?? append.lastHash,
    state: standing.state === "released" ? "ready" : standing.state,
    waiting_for: standing.state === "waiting" ? standing.for : null,
    due_at: standing.state === "waiting" ? new Date(standing.dueAt).toISOString() : null,
    outcome: standing.state === "ended" ? standing.outcome : null,
    host: standing.state === "released" ? (standing.host ?? null) : null,
    intent: started.length > 0,
    changes: started.some((one) => !one.tells),
  };
}
