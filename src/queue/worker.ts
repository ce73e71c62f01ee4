/** Works on the runs that are hinted at, and on those whose hints were lost; stops within a bound whatever hangs. */

import type { Backend } from "./backend.ts";
import type { Dispatch } from "./dispatch.ts";
import { createReconciler, type ReconcilerOptions } from "./reconciler.ts";

export interface WorkerOptions {
  /** How many runs are worked on at once. */
  readonly concurrency: number;
  /** Works on one run, if it is due and free. */
  readonly drive: (runId: string) => Promise<void>;
  readonly reconciler: Omit<ReconcilerOptions, "dispatch" | "driveHere">;
  /** Told when driving a run threw: a bug, or the store was away. */
  readonly onError: (runId: string, error: Error) => void;
}

export interface RunWorker {
  /** Takes no new run, and resolves when those under way are done. May never resolve where the queue hangs: bound it. */
  drain(): Promise<void>;
  /** How many runs are under way. */
  active(): number;
}

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

  const worker = backend.openWorker((hint) => driveOnce(hint.run), options.concurrency);
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
      const closing = worker.close().catch(() => {});
      while (underWay.size > 0) await Promise.all(underWay);
      await closing;
    },
  };
}
