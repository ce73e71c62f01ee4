/** Keeps the leases of the runs this process works on, and aborts a run before its lease could pass to another worker. */

/** A run held by this process. */
export interface HeldLease {
  /** Aborts when the lease can no longer be counted on. */
  readonly signal: AbortSignal;
  /** Whether an effect may still be started: false once the lease may have ended, however late this process wakes up. */
  isSafe(): boolean;
  release(): void;
}

export interface Leases {
  /** Takes care of a lease that was given out when `askedAt` (of `performance.now()`) had already passed. */
  hold(run: { readonly id: string; readonly fence: number }, askedAt: number): HeldLease;
  /** How many runs are held. */
  count(): number;
  stop(): void;
}

export interface LeaseOptions {
  readonly leaseMs: number;
  /** Returns the ids of the runs that are still this worker's. */
  readonly extend: (runs: readonly { readonly id: string; readonly fence: number }[]) => Promise<ReadonlySet<string>>;
  readonly onLost: (runId: string, reason: string) => void;
}

interface Entry {
  readonly id: string;
  readonly fence: number;
  readonly controller: AbortController;
  /** Until when, by `performance.now()`, the lease is certainly ours. */
  safeUntil: number;
}

/**
 * Extends all leases three times as often as they would end. A lease that could not be extended is given up a fifth of
 * its length before its end, so that a step has time to stop.
 */
export function createLeases(options: LeaseOptions): Leases {
  const { leaseMs } = options;
  const safeMs = leaseMs * 0.8;
  const entries = new Map<string, Entry>();
  let extending = false;

  function lose(entry: Entry, reason: string): void {
    if (entry.controller.signal.aborted) return;
    entry.controller.abort(new Error(reason));
    options.onLost(entry.id, reason);
  }

  async function extendAll(): Promise<void> {
    if (extending || entries.size === 0) return;
    extending = true;
    const asked = [...entries.values()];
    const askedAt = performance.now();
    try {
      const ours = await options.extend(asked);
      for (const entry of asked) {
        if (ours.has(entry.id)) entry.safeUntil = Math.max(entry.safeUntil, askedAt + safeMs);
        // A run that was released meanwhile is nobody's loss.
        else if (entries.get(entry.id) === entry) lose(entry, "another worker has taken this run over");
      }
    } catch {
      // The next beat tries again; until then `watch` counts down.
    } finally {
      extending = false;
    }
  }

  function watch(): void {
    const now = performance.now();
    for (const entry of entries.values()) {
      if (now >= entry.safeUntil) lose(entry, "the lease could not be extended in time");
    }
  }

  const beat = setInterval(() => void extendAll(), leaseMs / 3);
  const look = setInterval(watch, Math.max(20, leaseMs / 30));
  return {
    hold: (run, askedAt) => {
      const entry: Entry = { ...run, controller: new AbortController(), safeUntil: askedAt + safeMs };
      entries.set(run.id, entry);
      return {
        signal: entry.controller.signal,
        isSafe: () => !entry.controller.signal.aborted && performance.now() < entry.safeUntil,
        release: () => {
          if (entries.get(run.id) === entry) entries.delete(run.id);
        },
      };
    },
    count: () => entries.size,
    stop: () => {
      clearInterval(beat);
      clearInterval(look);
    },
  };
}
