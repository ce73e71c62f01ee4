/** Readiness: whether the store can be used, and the queue, and whether people can be told. Only the store decides about ready. */

/** Looks at one part; rejects where it cannot be used. The signal aborts when its time is up. */
export type Probe = (signal: AbortSignal) => Promise<unknown>;

export interface Readiness {
  /** Answer 200 where true, 503 where false. */
  readonly ready: boolean;
  readonly body: {
    readonly store: "ok" | "unusable";
    readonly queue: "ok" | "degraded";
    /** `failing`: messages to people are tried again; `dead-letters`: some were given up. Unknown without the store. */
    readonly outbox: "ok" | "failing" | "dead-letters" | "unknown";
  };
}

/** How many messages to people were given up, and how many have failed and are tried again. */
export interface OutboxTroubles {
  readonly dead: number;
  readonly failing: number;
}

const longestMs = 1_000;

/**
 * Makes the readiness check. Each probe has one second. Callers that come while a check is under way share its answer:
 * `/readyz` asks for no token, so it must not be a way to keep the store busy.
 */
export function createReadiness(
  probes: { readonly store: Probe; readonly queue: Probe; readonly outbox: () => Promise<OutboxTroubles> },
  boundMs: number = longestMs,
): () => Promise<Readiness> {
  let current: Promise<Readiness> | null = null;

  async function check(): Promise<Readiness> {
    let troubles: OutboxTroubles | null = null;
    const readOutbox = async () => {
      troubles = await probes.outbox();
    };
    const [store, queue, read] = await Promise.all([
      succeeds(probes.store, boundMs),
      succeeds(probes.queue, boundMs),
      succeeds(readOutbox, boundMs),
    ]);
    return {
      ready: store,
      body: {
        store: store ? "ok" : "unusable",
        queue: queue ? "ok" : "degraded",
        outbox: read && troubles ? outboxOf(troubles) : "unknown",
      },
    };
  }

  return () => {
    current ??= check().finally(() => {
      current = null;
    });
    return current;
  };
}

function outboxOf({ dead, failing }: OutboxTroubles): "ok" | "failing" | "dead-letters" {
  if (dead > 0) return "dead-letters";
  return failing > 0 ? "failing" : "ok";
}

async function succeeds(probe: Probe, boundMs: number): Promise<boolean> {
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => {
      resolve(false);
      abort.abort(new Error(`The probe took longer than ${boundMs} ms`));
    }, boundMs);
  });
  try {
    return await Promise.race([probe(abort.signal).then(() => true), timeout]);
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
