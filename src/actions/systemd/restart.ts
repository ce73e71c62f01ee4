/** `systemd.restart`: restarts one unit, once, and watches whether it stays up. */

import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { ActionContext, ChangeAction, Outcome, Planned } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import { askRestart } from "./ask-restart.ts";
import type { Trouble } from "./bus.ts";
import { type Settled, settle } from "./settle.ts";
import { startLimitReached } from "./start-limit.ts";
import { readUnit, type UnitState } from "./unit.ts";
import { unitInput } from "./unit-input.ts";
import { type SystemdSettings, type UnitInHand, withUnit } from "./with-unit.ts";

/** How long a probe goes on trying to reach the bus, and how long it looks whether a restart is still to come. */
const probeWithinMs = 15_000;
const probeAgainMs = 500;
const stillToComeMs = 1_000;

const input = z.strictObject({
  /** One of the target's `systemd.units`. */
  unit: unitInput,
});

type Input = z.output<typeof input>;

export interface RestartPlan {
  readonly [key: string]: string | null;
  readonly unit: string;
  /**
   * The start that is to end; empty where the unit was never started. Null where it is one that systemd made by itself,
   * since the next of those may have taken its place when the plan is applied.
   */
  readonly invocationId: string | null;
}

/** `systemd.restart` over the given system bus. */
export function systemdRestart(settings: SystemdSettings): ChangeAction<Input, RestartPlan> {
  return {
    name: "systemd.restart",
    summary: "Restarts a unit and watches whether it stays up and well.",
    input,
    kind: "change",
    onHost: true,
    risk: "high",
    repeat: "once",
    plan: (input, context) => withUnit(context, settings, input.unit, (inHand) => plan(inHand, context)),
    apply: (plan, context) => withUnit(context, settings, plan.unit, (inHand) => apply(plan, inHand, context)),
    probe: (plan, context) => probe(plan, settings, context),
  };
}

async function plan({ state, systemd }: UnitInHand, context: ActionContext): Promise<Planned<RestartPlan>> {
  const { unit } = state;
  if (!state.canRestart) return lasting(`The unit ${unit} refuses to be started or stopped by hand.`);
  if (state.service?.type === "oneshot") {
    return lasting(`The unit ${unit} is of Type=oneshot and does not stay up. systemd.restart is for what does.`);
  }
  const reached = await startLimitReached(state, systemd.journal ?? null, context.signal);
  if (reached) return reached;
  return {
    status: "planned",
    plan: { unit, invocationId: byItself(state) ? null : state.invocationId },
    effects: [describeEffect(state)],
  };
}

function byItself(state: UnitState): boolean {
  return (state.service?.restarts ?? 0) > 0;
}

function describeEffect({ unit, activeState, subState, activeSince, service }: UnitState): string {
  if (activeState === "inactive") return `start ${unit}, which somebody or something has stopped`;
  const since = activeState === "active" ? ` since ${new Date(activeSince).toISOString().slice(0, 19)}Z` : "";
  const pid = service && service.mainPid > 0 ? `, pid ${service.mainPid}` : "";
  const again = service && service.restarts > 0 ? `, restarted ${service.restarts} times by systemd` : "";
  return `restart ${unit} (${activeState} (${subState})${since}${pid}${again})`;
}

async function apply(plan: RestartPlan, inHand: UnitInHand, context: ActionContext): Promise<Outcome> {
  const { bus, state: before, systemd, target } = inHand;
  const { unit } = plan;
  if (wasRestarted(plan, before)) return alreadyRestarted(before);
  if (plan.invocationId !== null && plan.invocationId !== before.invocationId) {
    return passing(`${unit} has ended since this was planned, and systemd restarted it by itself. Plan it again.`);
  }
  const reached = await startLimitReached(before, systemd.journal ?? null, context.signal);
  if (reached) return reached;
  if (context.signal.aborted) return passing(`Stopped before ${unit} was restarted.`);

  const restarted = await askRestart(bus, unit, context.signal);
  if (restarted.kind === "not-asked") return inHand.failure(restarted.trouble);
  if (restarted.kind === "unknown") return inDoubt(unit, restarted.trouble);
  if (restarted.result !== "done") return await notDone(restarted.result, before, inHand);
  const then = { invocationId: before.invocationId, restarts: before.service?.restarts ?? 0 };
  const settled = await settle(bus, target, unit, then, context.signal);
  if (settled.kind === "unseen") {
    const { message } = settled.trouble;
    return { status: "unknown", reason: `${unit} was restarted, but not seen to stay up: ${message}. Look at it.` };
  }
  if (settled.kind === "unsteady") return notWell(unit, settled);
  return {
    status: "done",
    result: {
      unit,
      restarted: true,
      invocationId: settled.state.invocationId,
      activeState: settled.state.activeState,
      watchedSeconds: Math.round(settled.watchedMs / 100) / 10,
      health: settled.health?.words ?? null,
    },
  };
}

/** Whether the start that was to end has made way for one that was asked for, by us or by somebody else. */
function wasRestarted(plan: RestartPlan, now: UnitState): boolean {
  return now.invocationId !== "" && plan.invocationId !== now.invocationId && !byItself(now);
}

function alreadyRestarted({ unit, activeState, subState, invocationId }: UnitState): Outcome {
  if (activeState !== "active" && activeState !== "reloading") {
    return lasting(`${unit} was restarted since this was planned and is ${activeState} (${subState}) now. Look at it.`);
  }
  return { status: "done", result: { unit, restarted: false, invocationId, activeState } };
}

function inDoubt(unit: string, { kind, message }: Trouble): Outcome {
  const why = kind === "stopped" ? "the step was stopped" : message;
  return { status: "unknown", reason: `systemd was asked to restart ${unit}, but the result was not heard: ${why}.` };
}

const meanings: Readonly<Record<string, string>> = {
  canceled: "somebody cancelled it, or asked for something else in its place",
  timeout: "it did not start in time",
  failed: "it did not start",
  dependency: "something that it needs did not start",
  skipped: "a condition in its unit file does not hold, so it was not started",
};

/** The Failure after a result that is no success, with what has become of the unit. */
async function notDone(result: string, before: UnitState, { bus }: UnitInHand): Promise<Outcome> {
  const { unit } = before;
  const what = `Restarting ${unit} ended as '${result}': ${meanings[result] ?? "see systemctl status"}.`;
  const read = await readUnit(bus, unit);
  if (!read.ok) return lasting(`${what} What it is now could not be read. Look at it.`);
  const { activeState, subState, service, invocationId } = read.value;
  // The first failure is what Result keeps; that no start was made gives the limit away.
  const limited =
    service?.result === "start-limit-hit" || (result === "failed" && invocationId === before.invocationId);
  const advice = limited
    ? `It was probably started too often: see its journal, then systemctl reset-failed ${unit}.`
    : `See: journalctl -u ${unit}.`;
  return lasting(
    `${what} It is ${activeState} (${subState}${service ? `, result ${service.result}` : ""}) now. ${advice}`,
  );
}

function notWell(unit: string, { reason }: Extract<Settled, { kind: "unsteady" }>): Outcome {
  return lasting(`${unit} was restarted but did not stay well: ${reason}. See: journalctl -u ${unit}.`);
}

/** By the unit's InvocationID. What has been restarted is watched, so that only what stays up counts as applied. */
async function probe(
  plan: RestartPlan,
  settings: SystemdSettings,
  context: ActionContext,
): Promise<"applied" | "not-applied" | "unknown"> {
  for (const started = performance.now(); ; ) {
    const answer = await withUnit(context, settings, plan.unit, (inHand) => compare(plan, inHand, context));
    if (typeof answer === "string") return answer;
    const over = performance.now() - started > probeWithinMs;
    if (!answer.retryable || over || context.signal.aborted) {
      context.log.warn({ reason: answer.reason }, "the unit could not be looked at");
      return "unknown";
    }
    await pause(probeAgainMs, undefined, { signal: context.signal }).catch(() => undefined);
  }
}

async function compare(
  plan: RestartPlan,
  inHand: UnitInHand,
  context: ActionContext,
): Promise<"applied" | "not-applied" | "unknown"> {
  let { state } = inHand;
  for (const started = performance.now(); !wasRestarted(plan, state); ) {
    // What was sent before the bus was lost may only now be queued; what is queued may take its time to stop.
    if (!state.queued && performance.now() - started > stillToComeMs) {
      // Of starts that systemd makes by itself, one more does not tell whether there was a restart between them.
      return plan.invocationId === state.invocationId ? "not-applied" : "unknown";
    }
    await pause(probeAgainMs / 2, undefined, { signal: context.signal }).catch(() => undefined);
    const read = await readUnit(inHand.bus, plan.unit);
    if (!read.ok) return "unknown";
    state = read.value;
  }
  // Whose start is named in the plan had not been restarted by systemd.
  const then = { invocationId: plan.invocationId, restarts: 0 };
  const settled = await settle(inHand.bus, inHand.target, plan.unit, then, context.signal);
  return settled.kind === "steady" ? "applied" : "unknown";
}
