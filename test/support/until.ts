/** Waits for a condition of the outside world, so that no test has to guess how long something takes. */

/** How long and how often `until` looks, in milliseconds, and what it waits for, as it would stand after "waited for". */
export interface UntilOptions {
  readonly timeoutMs?: number;
  readonly everyMs?: number;
  readonly what?: string | (() => string);
}

type Falsy = false | 0 | "" | null | undefined;

/**
 * Calls `condition` until it returns a truthy value, and returns that. A condition that throws counts as not yet true.
 * Fails after `timeoutMs` (30 seconds) with what was waited for and the last value or error.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 30_000, everyMs = 20, what = "a condition" }: UntilOptions = {},
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const { value, error } = await attempt(condition);
    if (value) return value as Exclude<T, Falsy>;
    if (performance.now() >= deadline) {
      const last = error === undefined ? `the last value was ${shown(value)}` : `the last error was ${shown(error)}`;
      const wanted = typeof what === "string" ? what : what();
      throw new Error(`Waited ${timeoutMs} ms for ${wanted}; ${last}.`, { cause: error });
    }
    await sleep(everyMs);
  }
}

/** Resolves after `ms` milliseconds. Only for pauses that are themselves under test; otherwise use `until`. */
export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

async function attempt<T>(condition: () => T | Promise<T>): Promise<{ value?: T; error?: unknown }> {
  try {
    return { value: await condition() };
  } catch (error) {
    return { error: error ?? new Error("nothing was thrown") };
  }
}

function shown(value: unknown): string {
  if (value instanceof Error) return value.message;
  if (value === undefined) return "undefined";
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
}
