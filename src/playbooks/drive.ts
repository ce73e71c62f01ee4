/** Drives one run: decide, do that one thing, record what happened, until the run ends or has to wait. */

import { deadlineOf } from "../domain/deadline.ts";
import { type Decision, decide } from "../domain/decide.ts";
import type { Happening, RunEvent } from "../domain/event.ts";
import type { ChangeStep } from "../domain/playbook.ts";
import { type Progress, progressOf } from "../domain/progress.ts";
import type { Run } from "../domain/run.ts";
import { clockFrom } from "./clock.ts";
import { end, endStuck, isStuck, setAside } from "./drive-end.ts";
import { ask, checkApprovers, notify } from "./drive-people.ts";
import { after, type Driven, put, type Stop, told } from "./driven.ts";
import type { Leases } from "./leases.ts";
import type { LoadedPlaybook } from "./load.ts";
import { apply, observe, type Performance, plan, probe, verify } from "./perform.ts";
import { createPersist } from "./persist.ts";
import { startRecord } from "./record.ts";
import { revertingPlaybook } from "./revert.ts";
import { valuesOf } from "./values.ts";
import type { World } from "./world.ts";

/** Facts are stored after this time even where nothing else calls for it, so that people can watch. */
const showWithinMs = 250;
/** What a step begins by, the kill switch above all, was read no longer ago than this. */
const freshMs = 1_000;

/** Works on the run if it is due and free, until it ends, waits, or must be given up. */
export async function drive(world: World, leases: Leases, stop: Stop, runId: string): Promise<void> {
  if (stop.soft.aborted) return;
  const askedAt = performance.now();
  const claimed = await world.store.claim(runId);
  if (!claimed) return;
  const lease = leases.hold(claimed, askedAt);
  try {
    const clock = clockFrom(claimed.now);
    world.reached("claimed", runId);
    const persist = createPersist(runId, lease, world.store.isOutage, world.log);
    const record = startRecord(world.store, claimed, clock, persist);
    if (claimed.takenOver) {
      record.note({ type: "taken-over", worker: world.worker, fence: claimed.fence });
      world.metrics.takenOver();
      world.log.warn({ run: runId, fence: claimed.fence }, "took over a run whose worker stopped");
    }
    if (claimed.leftTo !== null && claimed.leftTo === world.host) {
      record.note({ type: "arrived-at-host", host: world.host, worker: world.worker });
    }
    const drivenRun = { world, claimed, clock, lease, persist, record, stop };
    // Stored before anything else: a step that ends its workers at once must not be tried for ever.
    if (claimed.takenOver && (await put(drivenRun, [], { state: "running" })) === "lost") return;
    if (isStuck(record.history())) {
      await endStuck(drivenRun);
      return;
    }
    const found = await persist(() => world.playbook(claimed.playbookHash));
    const loaded = found && asTriggered(found, claimed.history[0]);
    if (loaded) await loop({ ...drivenRun, loaded });
    else await setAside(drivenRun);
  } finally {
    lease.release();
  }
}

/** The playbook as this run carries it out; null where it cannot. */
function asTriggered(loaded: LoadedPlaybook, created: RunEvent | undefined): LoadedPlaybook | null {
  if (created?.type !== "created" || created.trigger.kind !== "mitigation") return loaded;
  return revertingPlaybook(loaded, created.trigger);
}

async function loop(driven: Driven): Promise<void> {
  const { world, claimed, clock, lease, record, stop, loaded } = driven;
  for (;;) {
    if (lease.signal.aborted) return;
    if (stop.soft.aborted) {
      await put(driven, [], { state: "released" });
      return;
    }
    if (record.unstoredMs() > showWithinMs && (await put(driven, [], { state: "running" })) === "lost") return;
    if ((await record.refresh(freshMs)) === "lost") return;
    const history = record.history();
    const target = world.targets.get(claimed.target ?? "");
    const run: Run = {
      id: claimed.id,
      playbook: loaded.playbook,
      dryRun: claimed.dryRun,
      history,
      announcements: world.announcements,
      targetHost: target?.host ?? null,
      maintenance: target?.postgres?.maintenance ?? [],
      workerHost: world.host,
      hostWaitMs: world.hostWaitMs,
      holdsTarget: record.holdsTarget,
      paused: record.paused || world.pausedHere(),
    };
    const decision = decide(run, clock.now());
    if ((await carryOut(driven, decision, progressOf(history), history)) === "stop") return;
  }
}

async function carryOut(
  driven: Driven,
  decision: Decision,
  progress: Progress,
  history: readonly RunEvent[],
): Promise<"go-on" | "stop"> {
  const { world, claimed, record } = driven;
  const performance = () => performanceOf(driven, progress, history);
  switch (decision.do) {
    case "observe":
      world.reached("before-observe", claimed.id);
      record.note(await observe(performance(), decision.step, progress));
      world.reached("after-observe", claimed.id);
      return "go-on";
    case "pass-over":
      record.note({ type: "step-passed-over", step: decision.step.id, reason: decision.reason });
      return "go-on";
    case "plan":
      world.reached("before-plan", claimed.id);
      record.note(await plan(performance(), decision.step, progress));
      world.reached("after-plan", claimed.id);
      return "go-on";
    case "check-rails":
      return checkRails(driven, decision.step.id);
    case "ask":
      return ask(driven, decision, progress);
    case "expire": {
      const { step, approval } = decision;
      return after(await put(driven, [{ type: "approval-expired", step: step.id, approval }], { state: "running" }));
    }
    case "void": {
      const { step, approval, reason } = decision;
      return after(
        await put(driven, [{ type: "approval-voided", step: step.id, approval, reason }], { state: "running" }),
      );
    }
    case "notify":
      return notify(driven, decision.entry, progress, history);
    case "announce": {
      const { step, places, notBefore } = decision;
      const effects = progress.steps.get(step.id)?.effects ?? [];
      const announcing: Happening = {
        type: "announcing",
        step: step.id,
        effects,
        places,
        notBefore: new Date(notBefore).toISOString(),
      };
      return told(driven, await put(driven, [announcing], { state: "running" }));
    }
    case "begin-mitigation":
      return beginMitigation(driven, decision.step, progress);
    case "move": {
      const { host } = decision;
      const stored = await put(driven, [{ type: "moved-to-host", host }], { state: "released", host });
      return stored === "moved" || stored === "paused" ? "go-on" : "stop";
    }
    case "check-approvers":
      return checkApprovers(driven, decision, history);
    case "apply":
      return applyPlan(driven, decision, progress, performance());
    case "probe":
      record.note(await probe(performance(), decision.step, progress.steps.get(decision.step.id)?.plan ?? null));
      return "go-on";
    case "verify":
      world.reached("before-verify", claimed.id);
      record.note(await verify(performance(), decision.index));
      world.reached("after-verify", claimed.id);
      return "go-on";
    case "wait":
      return wait(driven, decision);
    case "end":
      return end(driven, decision.outcome, decision.reason, driven.loaded.playbook.escalate?.policy ?? null);
    case "nothing":
      return "stop";
    default:
      return decision satisfies never;
  }
}

async function wait(driven: Driven, decision: Extract<Decision, { do: "wait" }>): Promise<"go-on" | "stop"> {
  if (decision.for === "switch") driven.world.metrics.railHit("kill-switch");
  if (decision.for === "target") driven.world.metrics.railHit("target-lock");
  const stored = await put(driven, [], { state: "waiting", for: decision.for, dueAt: decision.until });
  return stored === "moved" ? "go-on" : "stop";
}

async function checkRails(driven: Driven, step: string): Promise<"go-on"> {
  const { world, claimed, loaded, record } = driven;
  const { budget, cooldownMs } = loaded.playbook;
  const answer = await driven.persist(() =>
    world.store.readRails({
      runId: claimed.id,
      playbook: claimed.playbook,
      target: claimed.target,
      budget,
      cooldownMs,
    }),
  );
  if (answer.coolDownUntil) world.metrics.railHit("cool-down");
  if (answer.budget.some((window) => window.used >= window.limit)) world.metrics.railHit("budget");
  record.note({ type: "rails-checked", step, ...answer });
  return "go-on";
}

async function beginMitigation(driven: Driven, step: ChangeStep, progress: Progress): Promise<"go-on" | "stop"> {
  const { world, clock } = driven;
  const started = progress.steps.get(step.id)?.started;
  const { afterMs = null, onResolved = false, onEnd } = step.revert ?? {};
  // An alert that has resolved by now does not resolve once more.
  const over = onResolved && progress.resolvedAt !== null ? clock.now() : Number.POSITIVE_INFINITY;
  const revertAt = Math.min(over, afterMs === null ? Number.POSITIVE_INFINITY : clock.now() + afterMs);
  const began: Happening = {
    type: "mitigation-began",
    step: step.id,
    mitigation: world.newId(),
    action: step.do,
    plan: started?.plan ?? null,
    effects: started?.effects ?? [],
    revertAt: Number.isFinite(revertAt) ? new Date(revertAt).toISOString() : null,
    onResolved,
    ...(onEnd && { onEnd }),
  };
  return after(await put(driven, [began], { state: "running" }));
}

async function applyPlan(
  driven: Driven,
  decision: Extract<Decision, { do: "apply" }>,
  progress: Progress,
  performance: Performance,
): Promise<"go-on" | "stop"> {
  const { world, claimed, lease, record } = driven;
  const { step } = decision;
  const planned = progress.steps.get(step.id);
  world.reached("before-intent", claimed.id);
  const started: Happening = {
    type: "step-started",
    step: step.id,
    digest: planned?.digest ?? "",
    ...(step.tells && { tells: true }),
  };
  const stored = await put(driven, [started], { state: "running" });
  if (stored !== "written") return after(stored);
  world.reached("after-intent", claimed.id);
  // This process may have been frozen since; then the run may be another worker's, and this plan is not ours to apply.
  if (!lease.isSafe()) {
    world.log.warn(
      { run: claimed.id, fence: claimed.fence },
      "applied nothing: the lease cannot be counted on any more",
    );
    return "stop";
  }
  const happening = await apply(performance, step, planned?.plan ?? null);
  world.reached("after-effect", claimed.id);
  record.note(happening);
  // At once: should this process die during the next step, this effect must not be in doubt.
  return after(await put(driven, [], { state: "running" }));
}

function performanceOf(driven: Driven, progress: Progress, history: readonly RunEvent[]): Performance {
  const { world, claimed, loaded, lease, stop, clock } = driven;
  return {
    loaded,
    values: valuesOf(claimed.target, progress, history),
    stepEnded: world.metrics.stepEnded,
    context: (timeoutMs, step) => {
      const { signal, release } = deadlineOf([lease.signal, stop.hard], timeoutMs);
      const target = claimed.target === null ? null : (world.targets.get(claimed.target) ?? null);
      const occasion = step === undefined ? {} : { occasion: `${claimed.id}/${step}` };
      return { context: { target, signal, log: world.log, now: clock.now, ...occasion }, release };
    },
  };
}
