/** After the alert of a run that was handed over has resolved: measures the playbook's checks once more, so that people are let go only of what is really over. */

import { deadlineOf } from "../domain/deadline.ts";
import type { RunEvent } from "../domain/event.ts";
import { progressOf } from "../domain/progress.ts";
import type { Target } from "../domain/target.ts";
import type { LoadedPlaybook } from "./load.ts";
import { verify } from "./perform.ts";
import { valuesOf } from "./values.ts";
import type { DriveLogger } from "./world.ts";

export interface PossibleRecovery {
  readonly runId: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly history: readonly RunEvent[];
  readonly rechecks: number;
}

export interface RecoverWorld {
  readonly store: {
    take(leaseMs: number, host: string | null): Promise<readonly PossibleRecovery[]>;
    leaveTo(runId: string, host: string): Promise<void>;
    recovered(runId: string, reason: string): Promise<void>;
    notYet(runId: string, reason: string, againMs: number | null, tell: boolean): Promise<void>;
  };
  readonly playbook: (hash: string) => Promise<LoadedPlaybook | null>;
  readonly targets: ReadonlyMap<string, Target>;
  /** The host whose checks this worker can measure too; null: none. */
  readonly host: string | null;
  readonly tellPeople: () => void;
  /** Whether this process was told to start nothing (the pause file), beside the switch in the store. */
  readonly pausedHere: () => boolean;
  readonly log: DriveLogger;
  readonly now: () => number;
}

/** Measuring once more takes at most this long in all. */
const measureWithinMs = 60_000;
const leaseMs = 90_000;
/** An average over the last minutes needs time to show that the trouble is over. */
const againAfterMs = 30_000;
const mostTimes = 40;

/** Looks once at every run that may have recovered. Rejects only where the store cannot be used. */
export async function lookForRecoveries(world: RecoverWorld, stopping: AbortSignal): Promise<void> {
  if (world.pausedHere()) return;
  const possible = await world.store.take(leaseMs, world.host);
  await Promise.all(
    possible.map((run) => look(world, run, stopping).catch((error: Error) => notMeasured(world, run, error, stopping))),
  );
}

/** What breaks off over one run counts as measured: it is not tried for ever, and people are told. Rejects where it was the store. */
async function notMeasured(
  world: RecoverWorld,
  run: PossibleRecovery,
  error: Error,
  stopping: AbortSignal,
): Promise<void> {
  if (stopping.aborted) return;
  const reason = `it cannot be measured whether it is over (${error.message})`;
  const last = isLast(run);
  await world.store.notYet(run.runId, reason, last ? null : againAfterMs, run.rechecks === 0 || last);
  world.log.error({ run: run.runId, reason }, "whether a run that was handed over has recovered cannot be measured");
}

const isLast = ({ rechecks }: PossibleRecovery): boolean => rechecks + 1 >= mostTimes;

async function look(world: RecoverWorld, run: PossibleRecovery, stopping: AbortSignal): Promise<void> {
  const loaded = await world.playbook(run.playbookHash);
  const last = isLast(run);
  if (!loaded) {
    // Another worker may be able to.
    const reason =
      "no worker can read the playbook that would measure whether it is over; somebody must acknowledge it";
    return world.store.notYet(run.runId, reason, last ? null : againAfterMs, last);
  }
  if (loaded.checks.length === 0) {
    const reason = "nothing can measure whether it is over: the playbook has no `verify`; somebody must acknowledge it";
    return world.store.notYet(run.runId, reason, null, true);
  }
  const host = world.targets.get(run.target ?? "")?.host ?? null;
  if (host !== null && host !== world.host && loaded.checks.some(({ check }) => check.onHost)) {
    return world.store.leaveTo(run.runId, host);
  }
  const failing = await firstFailing(world, run, loaded, stopping);
  if (stopping.aborted) return;
  if (failing === null) {
    await world.store.recovered(run.runId, "the alert resolved, and every check of the playbook holds");
    world.tellPeople();
    world.log.info({ run: run.runId }, "what was handed over has recovered");
    return;
  }
  await world.store.notYet(run.runId, failing, last ? null : againAfterMs, run.rechecks === 0 || last);
}

/** Why a check does not hold; null: all do. */
async function firstFailing(
  world: RecoverWorld,
  run: PossibleRecovery,
  loaded: LoadedPlaybook,
  stopping: AbortSignal,
): Promise<string | null> {
  const target = run.target === null ? null : (world.targets.get(run.target) ?? null);
  const within = deadlineOf([stopping], measureWithinMs);
  const performance = {
    loaded,
    values: valuesOf(run.target, progressOf(run.history), run.history),
    stepEnded: () => {},
    context: (timeoutMs: number) => {
      const { signal, release } = deadlineOf([within.signal], timeoutMs);
      return { context: { target, signal, log: world.log, now: world.now }, release };
    },
  };
  try {
    for (const [index, { check }] of loaded.checks.entries()) {
      const measured = await verify(performance, index);
      if (measured.type !== "verification-checked") continue;
      if (!measured.passed) return `'${check.expect}' does not hold${measured.reason ? ` (${measured.reason})` : ""}`;
    }
    return null;
  } finally {
    within.release();
  }
}
