/**
 * One signal out of those that may end a call, with a time of its own. By hand, since Node 20 loses what it should keep:
 * an `AbortSignal.timeout` inside `AbortSignal.any` is garbage-collected and never fires, and a signal that lives as long
 * as the process keeps every combination that was ever made of it.
 */

export interface Deadline {
  readonly signal: AbortSignal;
  /** To be called when the call has come back. */
  release(): void;
}

/** Aborts with the first of `signals`, or with an error named `TimeoutError` after `timeoutMs`; null: without a time. */
export function deadlineOf(signals: readonly AbortSignal[], timeoutMs: number | null): Deadline {
  const controller = new AbortController();
  const followed = new Map(signals.map((signal) => [signal, () => controller.abort(signal.reason)]));
  for (const [signal, abort] of followed) {
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  }
  const late = () => controller.abort(new DOMException("It took too long", "TimeoutError"));
  const timer = timeoutMs === null ? undefined : setTimeout(late, timeoutMs);
  return {
    signal: controller.signal,
    release: () => {
      clearTimeout(timer);
      for (const [signal, abort] of followed) signal.removeEventListener("abort", abort);
    },
  };
}
