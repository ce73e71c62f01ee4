/** Works on the runs that are hinted at, and on those whose hints were lost; stops within a bound whatever hangs. */

import type { Backend } from "./backend.ts";
import type { Dispatch } from "./dispatch.ts";
import { createReconciler, type ReconcilerOptions } from "./reconciler.ts";

export interface WorkerOptions {
  /** How many runs are worked on at once. */
  readonly concurrency: number;
  /** The host whose hints are taken too; null: none. */
  readonly host: string | null;
  /** Works on one run, if it is due and free. */
  readonly drive: (runId: string) => Promise<void>;
  readonly reconciler: Omit<ReconcilerOptions, "dispatch" | "driveHere">;
  /** Told when driving a run threw: a bug, or the store was away. */
  readonly onError: (runId: string, error: Error) => void;
}

export interface RunWorker {
  /** Takes no new run, and resolves when those under way are done. */
  drain(): Promise<void>;
  /** How many runs are under way. */
  active(): number;
}

/** What the queue may take to close once no run is under way. */
const queueCloseMs = 1_500;

export function startWorker(backend: Backend, dispatch: Dispatch, options: WorkerOptions): RunWorker {
  const underWay = new Set<Promise<void>>();

  function driveOnce(runId: string): Promise<void> {
    const driving = options
      .drive(runId)
      .catch((error: Error) => options.onError(runId, error))
      .finally(() => underWay.delete(driving));
    underWay.add(driving);
    return driving;
  }

  const { concurrency, host } = options;
  const take = (hint: { readonly run: string }) => driveOnce(hint.run);
  const workers = [
    backend.openWorker(take, concurrency),
    ...(host === null ? [] : [backend.openWorker(take, concurrency, host)]),
  ];
  const reconciler = createReconciler({
    ...options.reconciler,
    dispatch,
    // While the queue is away, its worker takes nothing: what is due is worked on from here.
    driveHere: (runIds) => {
      const free = Math.max(0, options.concurrency - underWay.size);
      for (const runId of runIds.slice(0, free)) void driveOnce(runId);
    },
  });

  return {
    active: () => underWay.size,
    drain: async () => {
      reconciler.stop();
      // The queue's own close may hang while Redis is away (bullmq#4656); what counts is that the runs are done.
      const closing = Promise.all(workers.map((worker) => worker.close().catch(() => {}))).then(() => {});
      while (underWay.size > 0) await Promise.all(underWay);
      await settledWithin(closing, queueCloseMs);
    },
  };
}

/** What a step may take to come back once it was told to stop at once. */
const afterHardStopMs = 2_500;

/**
 * Drains within `drainMs`: steps under way may finish until shortly before, are then aborted, and whatever is left after
 * that is left behind; its lease passes on.
 */
export async function drainWithin(
  worker: RunWorker,
  drainMs: number,
  hard: AbortController,
  log: { warn(fields: object, message: string): void },
): Promise<void> {
  const drained = worker.drain();
  const patience = Math.max(0, drainMs - afterHardStopMs);
  if (await settledWithin(drained, patience)) return;
  log.warn({ runs: worker.active() }, "the drain is nearly over; stopping the steps that are still under way");
  hard.abort(new Error("the process is stopping"));
  if (await settledWithin(drained, afterHardStopMs)) return;
  log.warn({ runs: worker.active() }, "leaving runs behind whose steps did not stop, or a queue that does not close");
}

async function settledWithin(promise: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const settled = await Promise.race([promise.then(() => true as const), late]);
  clearTimeout(timer);
  return settled;
}
