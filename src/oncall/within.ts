/** Bounds a call to somebody else's program in time, whether or not that program honours a signal. */

/** How a bounded call came out; `late`: the time was up; `stopped`: the caller's signal aborted. */
export type Bounded<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "late" }
  | { readonly kind: "stopped" };

/**
 * Calls `work` and waits for it until `ms` milliseconds have passed or `signal` aborts. The signal that `work` gets
 * aborts in each of these cases, also after it is done, so that nothing of it goes on. Rejects as `work` does.
 */
export async function within<T>(
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<Bounded<T>> {
  if (signal.aborted) return { kind: "stopped" };
  const given = new AbortController();
  const { promise: end, resolve: endWith } = promised<Bounded<T>>();
  const stop = () => endWith({ kind: "stopped" });
  const timer = setTimeout(() => endWith({ kind: "late" }), ms);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([work(given.signal).then((value) => ({ kind: "done", value }) as const), end]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    given.abort();
  }
}

function promised<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
