/** Lets concurrent callers share one statement: whatever comes in while a statement is under way goes into the next one. */

import { isOutage } from "./outage.ts";

export interface BatchOptions {
  /** How many statements may be under way at once. */
  readonly lanes: number;
  /** How many items go into one statement at most. */
  readonly most: number;
  /** How many items may wait; what comes beyond them is rejected at once. Without a bound where left out. */
  readonly mostWaiting?: number;
}

/**
 * Wraps a set-based function so that it can be called with one item. An idle lane starts at once, so nobody waits for
 * company. When a shared call fails, each of its items is tried alone: one bad item never costs the others.
 */
export function batched<Item, Result>(
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
  options: BatchOptions,
): (item: Item) => Promise<Result> {
  let waiting: Waiting<Item, Result>[] = [];
  let busy = 0;

  async function work(): Promise<void> {
    busy += 1;
    while (waiting.length > 0) {
      // Callers of the same turn of the event loop come in before the statement is put together.
      await endOfTurn();
      const taken = waiting.slice(0, options.most);
      waiting = waiting.slice(options.most);
      if (taken.length > 0) await settle(run, taken);
    }
    busy -= 1;
  }

  return (item) =>
    new Promise((resolve, reject) => {
      if (waiting.length >= (options.mostWaiting ?? Number.POSITIVE_INFINITY)) {
        reject(new Error("too many others are waiting for the store"));
        return;
      }
      waiting.push({ item, resolve, reject });
      if (busy < options.lanes) void work();
    });
}

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

async function settle<Item, Result>(
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
  taken: readonly Waiting<Item, Result>[],
): Promise<void> {
  try {
    const results = await run(taken.map((one) => one.item));
    if (results.length !== taken.length) throw new Error("a batch must answer each of its items");
    for (const [index, one] of taken.entries()) one.resolve(results[index] as Result);
  } catch (error) {
    // Nothing is gained by trying each item alone when the database is away; but what took too long may be one of them.
    if (taken.length === 1 || (isOutage(error) && !tookTooLong(error))) {
      for (const one of taken) one.reject(error);
      return;
    }
    await Promise.all(taken.map((one) => settle(run, [one])));
  }
}

/** query_canceled, which is what Postgres answers where a statement's time is over. */
function tookTooLong(error: unknown): boolean {
  return (error as { code?: unknown }).code === "57014";
}
