/** How a drive ends: the outcome, the handing over, and giving up a run that this worker cannot carry out. */

import { mostTakeovers } from "../domain/decide.ts";
import type { Happening, Outcome, RunEvent, Trigger } from "../domain/event.ts";
import { type Progress, progressOf } from "../domain/progress.ts";
import { after, put, type Undrivable } from "./driven.ts";

/** Outcomes after which the trouble is still there and people must know. */
const handedOver: ReadonlySet<Outcome> = new Set(["ineffective", "expired", "refused", "failed", "unknown"]);
/** A run whose playbook no worker can carry out is given up after this time. */
const giveUpSetAsideMs = 10 * 60_000;
const trySetAsideAgainMs = 5_000;

/** Ends the run, and hands it over to people where the trouble is still there. */
export async function end(
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
    const state = readable(record.history())?.steps.get(trigger.step)?.state;
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

/** How far the run has come; null where its history is such that this version breaks off over it. */
function readable(history: readonly RunEvent[]): Progress | null {
  try {
    return progressOf(history);
  } catch {
    return null;
  }
}

/**
 * Whether worker after worker took the run over and broke off before it had done anything: before it could decide, that
 * is, since what is decided for a run that keeps stopping its workers is to end it.
 */
export function isStuck(history: readonly RunEvent[]): boolean {
  return takeoversInVain(history) > mostTakeovers + 1;
}

function takeoversInVain(history: readonly RunEvent[]): number {
  const last = history.findLastIndex((event) => "step" in event || event.type === "verification-checked");
  return history.slice(last + 1).filter(({ type }) => type === "taken-over").length;
}

/** Ends a run that no worker gets as far as to decide about. What may throw here as it did before is done without. */
export async function endStuck(driven: Undrivable): Promise<void> {
  const { world, claimed, persist, record } = driven;
  const policy = await persist(() => world.policyOf(claimed.playbookHash)).catch(() => null);
  do {
    const history = record.history();
    const progress = readable(history);
    if (progress?.ended) return;
    const why = `${takeoversInVain(history)} workers took this run over, and each broke off before it could do anything; their logs say why`;
    const inDoubt = progress === null || isInDoubt(progress);
    const reason = inDoubt ? `${why}; whether its last step took effect is not known` : why;
    if ((await end(driven, inDoubt ? "unknown" : "failed", reason, policy)) === "stop") return;
  } while (!driven.lease.signal.aborted);
}

function isInDoubt(progress: Progress): boolean {
  return [...progress.steps.values()].some(({ state }) => state === "started" || state === "in-doubt");
}

/** This worker cannot carry out the text the run started with; another one may. It must not be carried out with another text. */
export async function setAside(driven: Undrivable): Promise<void> {
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

async function endSetAside(driven: Undrivable, progress: Progress): Promise<"go-on" | "stop"> {
  const { world, claimed, persist } = driven;
  const policy = (await persist(() => world.policyOf(claimed.playbookHash))) ?? null;
  const why = progress.cancel
    ? `cancelled by ${progress.cancel.by}: ${progress.cancel.reason}`
    : "no worker can carry out the playbook text that this run started with; deploy a version that has its actions";
  if (isInDoubt(progress))
    return end(driven, "unknown", `${why}; whether its last step took effect is not known`, policy);
  return end(driven, progress.cancel ? "cancelled" : "failed", why, policy);
}
