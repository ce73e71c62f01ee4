/** Asks the store again while it is away and the lease holds: what happened must not be forgotten over a moment's outage. */

import type { HeldLease } from "./leases.ts";
import type { DriveLogger } from "./world.ts";

export type Persist = <T>(ask: () => Promise<T>) => Promise<T>;

const retryMs = 200;

/**
 * Only an outage is waited for. What the store refuses, it refuses again: that is thrown at once, the run is let go, and
 * after some take-overs people are told.
 */
export function createPersist(
  runId: string,
  lease: HeldLease,
  isOutage: (error: unknown) => boolean,
  log: DriveLogger,
): Persist {
  return async (ask) => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await ask();
      } catch (error) {
        if (!isOutage(error) || !lease.isSafe()) throw error;
        if (tries === 1) {
          log.warn(
            { run: runId, reason: (error as Error).message },
            "the store is away; trying again while the lease holds",
          );
        }
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  };
}
