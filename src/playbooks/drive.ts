/** Drives one run: decide, do that one thing, record what happened, until the run ends or has to wait. */

import { strictest } from "../domain/approver.ts";
import { deadlineOf } from "../domain/deadline.ts";
import { type Decision, decide } from "../domain/decide.ts";
import type { Happening, Outcome, RunEvent, Trigger } from "../domain/event.ts";
import type { ChangeStep } from "../domain/playbook.ts";
import { type Progress, progressOf } from "../domain/progress.ts";
import type { Run } from "../domain/run.ts";
import { type Clock, clockFrom } from "./clock.ts";
import type { HeldLease, Leases } from "./leases.ts";
import type { LoadedPlaybook } from "./load.ts";
import { apply, observe, type Performance, plan, probe, verify } from "./perform.ts";
import { createPersist, type Persist } from "./persist.ts";
import { type Record, type Stored, startRecord } from "./record.ts";
import { revertingPlaybook } from "./revert.ts";
import { valuesOf } from "./values.ts";
import type { ClaimedRun, Standing, World } from "./world.ts";

/** How the process asks its runs to stop: `soft` between two things they do, `hard` at once. */
export interface Stop {
  readonly soft: AbortSignal;
  readonly hard: AbortSignal;
}

/** Facts are stored after this time even where nothing else calls for it, so that people can watch. */
const showWithinMs = 250;
/** What a step begins by, the kill switch above all, was read no longer ago than this. */
const freshMs = 1_000;
/** A run whose playbook no worker can carry out is given up after this time. */
const giveUpSetAsideMs = 10 * 60_000;
const trySetAsideAgainMs = 5_000;

/** Outcomes after which the trouble is still there and people must know. */
const handedOver: ReadonlySet<Outcome> = new Set(["ineffective", "expired", "refused", "failed", "unknown"]);

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

interface Undrivable {
  readonly world: World;
  readonly claimed: ClaimedRun;
  readonly clock: Clock;
  readonly lease: HeldLease;
  readonly persist: Persist;
  readonly record: Record;
  readonly stop: Stop;
}

interface Driven extends Undrivable {
  readonly loaded: LoadedPlaybook;
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
    const run: Run = {
      id: claimed.id,
      playbook: loaded.playbook,
      dryRun: claimed.dryRun,
      history,
      announcements: world.announcements,
      targetHost: world.targets.get(claimed.target ?? "")?.host ?? null,
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

/** Stores, tells the queue what follows from where the run now stands, and says how the storing went. */
async function put(driven: Undrivable, decided: readonly Happening[], standing: Standing): Promise<Stored> {
  const { world, claimed, record, clock } = driven;
  const { stored, woken } = await record.store(decided, standing);
  if (stored === "lost") world.log.warn({ run: claimed.id, fence: claimed.fence }, "this run is another worker's now");
  if (woken.length > 0) world.hint(woken, 0);
  if (stored === "written" && standing.state === "waiting") world.hint([claimed.id], standing.dueAt - clock.now());
  if (stored === "written" && standing.state === "released") world.hint([claimed.id], 0, standing.host);
  return stored;
}

/** After a write that keeps the run: everything but a lost run is decided anew. */
function after(stored: Stored): "go-on" | "stop" {
  return stored === "lost" ? "stop" : "go-on";
}

/** After a write that people are told of. */
function told({ world }: Undrivable, stored: Stored): "go-on" | "stop" {
  if (stored === "written") world.tellPeople();
  return after(stored);
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

async function notify(
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

async function beginMitigation(driven: Driven, step: ChangeStep, progress: Progress): Promise<"go-on" | "stop"> {
  const { world, clock } = driven;
  const started = progress.steps.get(step.id)?.started;
  const { afterMs = null, onResolved = false } = step.revert ?? {};
  // An alert that has resolved by now does not resolve once more.
  const over = onResolved && progress.resolved ? clock.now() : Number.POSITIVE_INFINITY;
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
  };
  return after(await put(driven, [began], { state: "running" }));
}

/** To look up who may approve; after that the approval is given up, and asked for again. */
const lookUpWithinMs = 10_000;

async function checkApprovers(
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

async function ask(
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
  const started: Happening = { type: "step-started", step: step.id, digest: planned?.digest ?? "" };
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

async function end(
  driven: Undrivable,
  outcome: Outcome,
  reason: string,
  policy: string | null,
): Promise<"go-on" | "stop"> {
  const { world, claimed, record } = driven;
  world.reached("before-end", claimed.id);
  const escalates = handedOver.has(outcome) && !claimed.dryRun;
  const happenings: Happening[] = [{ type: "ended", outcome, reason }];
  if (escalates) happenings.unshift({ type: "escalated", policy, reason });
  const trigger = triggerOf(record.history());
  if (trigger?.kind === "mitigation") {
    const state = progressOf(record.history()).steps.get(trigger.step)?.state;
    const reverted = state === "done" || state === "nothing-to-do";
    happenings.unshift({ type: "mitigation-ended", mitigation: trigger.mitigation, reverted });
  }
  const stored = await put(driven, happenings, { state: "ended", outcome });
  if (stored !== "written") return after(stored);
  world.tellPeople();
  world.reached("after-end", claimed.id);
  world.metrics.runEnded(outcome, claimed.playbook);
  const fields = { run: claimed.id, playbook: claimed.playbook, target: claimed.target, outcome, reason };
  if (!escalates) {
    world.log.info(fields, "a run ended");
    return "stop";
  }
  world.metrics.escalated();
  world.log.error({ ...fields, policy }, "a run could not heal its target: people must look");
  return "stop";
}

function triggerOf([created]: readonly RunEvent[]): Trigger | null {
  return created?.type === "created" ? created.trigger : null;
}

/** This worker cannot carry out the text the run started with; another one may. It must not be carried out with another text. */
async function setAside(driven: Undrivable): Promise<void> {
  const { claimed, clock, record, world } = driven;
  const fields = { run: claimed.id, playbook: claimed.playbook, hash: claimed.playbookHash };
  world.log.warn(fields, "this worker cannot carry out the playbook text that the run started with");
  for (;;) {
    const history = record.history();
    const progress = progressOf(history);
    if (progress.ended) return;
    const since = setAsideSince(history);
    if (progress.cancel || (since !== null && clock.now() - since > giveUpSetAsideMs)) {
      if ((await endSetAside(driven, progress)) === "stop") return;
      continue;
    }
    const happenings: Happening[] = since === null ? [{ type: "set-aside", worker: world.worker }] : [];
    const dueAt = clock.now() + trySetAsideAgainMs;
    if ((await put(driven, happenings, { state: "waiting", for: "worker", dueAt })) !== "moved") return;
  }
}

/** When the run was first set aside since a worker could last go on with it; null where it was not. */
function setAsideSince(history: readonly RunEvent[]): number | null {
  let since: number | null = null;
  for (const event of history) {
    if (event.type === "set-aside") since ??= Date.parse(event.at);
    else if (!["taken-over", "alert-resolved", "arrived-at-host"].includes(event.type)) since = null;
  }
  return since;
}

function endSetAside(driven: Undrivable, progress: Progress): Promise<"go-on" | "stop"> {
  const inDoubt = [...progress.steps.values()].some(({ state }) => state === "started" || state === "in-doubt");
  const why = progress.cancel
    ? `cancelled by ${progress.cancel.by}: ${progress.cancel.reason}`
    : "no worker can carry out the playbook text that this run started with; deploy a version that has its actions";
  if (inDoubt) return end(driven, "unknown", `${why}; whether its last step took effect is not known`, null);
  return end(driven, progress.cancel ? "cancelled" : "failed", why, null);
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
