/** Puts back what lost its hint: every few seconds, the runs that Postgres says are due go to the queue again. */

import type { Dispatch } from "./dispatch.ts";

export interface ReconcilerOptions {
  readonly everyMs: number;
  readonly dispatch: Dispatch;
  /** The due runs that nobody has picked up; marked, so that of many workers one puts each back. */
  readonly takeDue: TakeDue;
  /** Those among them that only a worker of this host may take; null: this worker serves no host. */
  readonly takeDueOfHost: TakeDue | null;
  /** Works on these runs in this process, without the queue. */
  readonly driveHere: (runIds: readonly string[]) => void;
  readonly onReadded: (count: number) => void;
  readonly onError: (error: Error) => void;
}

export type TakeDue = (options: {
  readonly graceMs: number;
  readonly againMs: number;
  readonly most: number;
}) => Promise<readonly string[]>;

export interface Reconciler {
  stop(): void;
}

/** A run that was hinted at is given this long before it is hinted at again. */
const againMs = 15_000;
const most = 500;

export function createReconciler(options: ReconcilerOptions): Reconciler {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  async function sweep(): Promise<void> {
    const away = (await options.dispatch.check()) === "degraded";
    const which = {
      // A hint that was just given deserves the time to arrive.
      graceMs: away ? 0 : options.everyMs,
      againMs: away ? options.everyMs : againMs,
      most,
    };
    if (options.takeDueOfHost) options.driveHere(await options.takeDueOfHost(which));
    const due = await options.takeDue(which);
    if (due.length === 0 || stopped) return;
    options.onReadded(due.length);
    if (away) options.driveHere(due);
    else options.dispatch.hint(due);
  }

  function next(): void {
    if (stopped) return;
    timer = setTimeout(() => void sweep().catch(options.onError).finally(next), options.everyMs);
  }

  next();
  return {
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
