/** Tells the queue which runs are due. Bounded in time and memory, and never more than a hint: what it drops, the reconciler finds. */

import type { Backend, Hint } from "./backend.ts";

export interface Dispatch {
  /** Says that these runs are due in `delayMs`, to any worker or to those of `host`. Returns at once and never throws. */
  hint(runIds: readonly string[], delayMs?: number, host?: string): void;
  /** `degraded` while the queue does not take hints. */
  state(): "ok" | "degraded";
  /** Asks the queue itself, for at most a second, and returns what `state` says after that. */
  check(): Promise<"ok" | "degraded">;
  /** Resolves once everything that was hinted is with the queue or was dropped. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface DispatchOptions {
  /** Told how many hints the queue did not take. */
  readonly onDropped: (count: number, reason: string) => void;
}

const boundMs = 1_000;
const mostAtOnce = 500;
const mostWaiting = 20_000;
/** A hint for later than this is left to the reconciler, which sweeps every few seconds anyway. */
const longestDelayMs = 60_000;

interface Waiting {
  readonly run: string;
  readonly delayMs: number;
  readonly host: string | null;
}

export function createDispatch(backend: Backend, options: DispatchOptions): Dispatch {
  const queue = backend.openQueue();
  const queuesOfHosts = new Map<string, ReturnType<Backend["openQueue"]>>();
  const waiting: Waiting[] = [];
  let sending: Promise<void> | null = null;
  /** An add that outlived its bound; BullMQ cannot abort one, so nothing is sent until it has settled. */
  let stuck = false;
  let degraded = false;
  /** A question that outlived its bound; it is not asked again beside itself. */
  let asking: Promise<unknown> | null = null;

  function drop(count: number, reason: string): void {
    degraded = true;
    options.onDropped(count, reason);
  }

  function queueOf(host: string | null): ReturnType<Backend["openQueue"]> {
    if (host === null) return queue;
    const known = queuesOfHosts.get(host) ?? backend.openQueue(host);
    queuesOfHosts.set(host, known);
    return known;
  }

  async function add(hints: readonly Waiting[], host: string | null): Promise<void> {
    const adding = queueOf(host).addBulk(
      hints.map(({ run, delayMs }) => ({
        name: "run",
        data: { run } satisfies Hint,
        opts: delayMs > 0 ? { delay: delayMs } : {},
      })),
    );
    const answer = await bounded(adding);
    if (answer === "late") {
      stuck = true;
      adding
        .catch(() => {})
        .finally(() => {
          stuck = false;
        });
      drop(hints.length, "the queue did not answer within a second");
      return;
    }
    if (answer !== "done") {
      drop(hints.length, answer.message);
      return;
    }
    degraded = false;
  }

  async function send(): Promise<void> {
    // Callers of the same turn share one round trip.
    await Promise.resolve();
    while (waiting.length > 0) {
      const host = waiting[0]?.host ?? null;
      const others = waiting.findIndex((one) => one.host !== host);
      const hints = waiting.splice(0, Math.min(mostAtOnce, others === -1 ? mostAtOnce : others));
      if (stuck) drop(hints.length, "the queue has not answered an earlier hint yet");
      else await add(hints, host);
    }
    sending = null;
  }

  async function ping(): Promise<void> {
    if (stuck) return;
    asking ??= queue.getJobCounts("active").finally(() => {
      asking = null;
    });
    degraded = (await bounded(asking)) !== "done";
  }

  return {
    hint: (runIds, delayMs = 0, host) => {
      if (delayMs > longestDelayMs) return;
      if (waiting.length + runIds.length > mostWaiting) {
        drop(runIds.length, "too many hints are waiting");
        return;
      }
      for (const run of runIds) {
        waiting.push({ run, delayMs: Math.max(0, Math.ceil(delayMs)), host: host ?? null });
      }
      sending ??= send();
    },
    state: () => (degraded || stuck ? "degraded" : "ok"),
    check: async () => {
      await ping();
      return degraded || stuck ? "degraded" : "ok";
    },
    settled: async () => {
      while (sending) await sending;
    },
    close: async () => {
      // close() of a queue whose Redis is away may hang (bullmq#4656).
      await Promise.all([queue, ...queuesOfHosts.values()].map((one) => bounded(one.close())));
    },
  };
}

/** `late` where the promise takes longer than the bound; its own error where it rejects. */
async function bounded(promise: Promise<unknown>): Promise<"done" | "late" | Error> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), boundMs);
  });
  try {
    return await Promise.race([promise.then(() => "done" as const), late]);
  } catch (error) {
    return error as Error;
  } finally {
    clearTimeout(timer);
  }
}
