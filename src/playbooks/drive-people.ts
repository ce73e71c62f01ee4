/** What a drive does with people: asks them, looks whether they may still approve, announces, notifies. */

import { strictest } from "../domain/approver.ts";
import { deadlineOf } from "../domain/deadline.ts";
import type { Decision } from "../domain/decide.ts";
import type { Happening, RunEvent } from "../domain/event.ts";
import type { Progress } from "../domain/progress.ts";
import { after, type Driven, put, told } from "./driven.ts";
import type { LoadedPlaybook } from "./load.ts";
import { valuesOf } from "./values.ts";

/** Decides an entry of `notify` and has its contact told. */
export async function notify(
  driven: Driven,
  entry: number,
  progress: Progress,
  history: readonly RunEvent[],
): Promise<"go-on" | "stop"> {
  const { world, claimed, loaded } = driven;
  const { entry: one, condition } = loaded.notify[entry] as LoadedPlaybook["notify"][number];
  const met = condition?.(valuesOf(claimed.target, progress, history)) ?? { ok: true as const, value: true };
  const decided = (ways: readonly string[], reason: string | null): Happening => ({
    type: "notifying",
    entry,
    contact: one.contact,
    ways,
    reason,
  });
  const happening = (): Happening => {
    // What cannot be told from what is known must not keep people from being told.
    if (!met.ok) return decided(world.waysOf(one.contact), `told in any case: ${met.error}`);
    if (!met.value) return decided([], `'${one.if}' does not hold`);
    const ways = world.waysOf(one.contact);
    return decided(ways, ways.length === 0 ? "the configuration has no such contact any more" : null);
  };
  return told(driven, await put(driven, [happening()], { state: "running" }));
}

/** To look up who may approve; after that the approval is given up, and asked for again. */
const lookUpWithinMs = 10_000;

/** Notes whether those who approved may still do so. */
export async function checkApprovers(
  driven: Driven,
  decision: Extract<Decision, { do: "check-approvers" }>,
  history: readonly RunEvent[],
): Promise<"go-on"> {
  const { world, lease, stop, record } = driven;
  const requested = history.find(
    (event) => event.type === "approval-requested" && event.approval === decision.approval,
  );
  const approvers = (requested?.type === "approval-requested" && requested.approvers) || [];
  const { signal, release } = deadlineOf([lease.signal, stop.hard], lookUpWithinMs);
  try {
    const { allowed, reason } = await world.mayStillApprove(decision.by, approvers, signal);
    record.note({
      type: "approvers-checked",
      step: decision.step.id,
      approval: decision.approval,
      allowed,
      reason,
    });
  } finally {
    release();
  }
  return "go-on";
}

/** Asks for approval and lets the run wait for it. */
export async function ask(
  driven: Driven,
  decision: Extract<Decision, { do: "ask" }>,
  progress: Progress,
): Promise<"go-on" | "stop"> {
  const { world, claimed, clock } = driven;
  const planned = progress.steps.get(decision.step.id);
  const target = claimed.target === null ? undefined : world.targets.get(claimed.target);
  const asks = strictest(world.approvals, [driven.loaded.playbook.approvals, target?.approvals]);
  const expiresAt = clock.now() + asks.expireAfterMs;
  const requested: Happening = {
    type: "approval-requested",
    step: decision.step.id,
    approval: world.newId(),
    digest: planned?.digest ?? "",
    effects: planned?.effects ?? [],
    reasons: decision.reasons,
    expiresAt: new Date(expiresAt).toISOString(),
    atLeast: asks.atLeast,
    approvers: asks.approvers,
  };
  const stored = await put(driven, [requested], { state: "waiting", for: "approval", dueAt: expiresAt });
  if (stored !== "written") return after(stored);
  world.tellPeople();
  world.reached("after-ask", claimed.id);
  world.log.info(
    {
      run: claimed.id,
      playbook: claimed.playbook,
      target: claimed.target,
      step: decision.step.id,
      effects: requested.effects.length,
    },
    "a step waits for approval",
  );
  return "stop";
}
