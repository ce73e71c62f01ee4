/** Does something over and over: at intervals, and at once when nudged; never two rounds at a time. */

export interface Rounds {
  /** Makes the next round begin at once, or another one follow the present one. */
  nudge(): void;
  /** Begins no other round and resolves when the present one has come back. */
  stop(): Promise<void>;
}

/** Starts rounds, the first one after `everyMs`. What a round rejects with goes to `onError`, and the next one comes all the same. */
export function startRounds(
  everyMs: number,
  round: (signal: AbortSignal) => Promise<void>,
  onError: (error: Error) => void,
): Rounds {
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | null = null;
  let again = false;

  function begin(): void {
    clearTimeout(timer);
    again = false;
    working = round(stopping.signal)
      .catch(onError)
      .finally(() => {
        working = null;
        if (stopping.signal.aborted) return;
        if (again) begin();
        else timer = setTimeout(begin, everyMs);
      });
  }

  timer = setTimeout(begin, everyMs);
  return {
    nudge: () => {
      if (stopping.signal.aborted) return;
      if (working) again = true;
      else begin();
    },
    stop: async () => {
      stopping.abort(new Error("the process is stopping"));
      clearTimeout(timer);
      await working;
    },
  };
}
