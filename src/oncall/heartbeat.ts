/**
 * The heartbeat to the outside. A service elsewhere is called while Paramedic is well, and calls people once it hears
 * nothing: the one way that works when all of Paramedic's own are down.
 */

import { type Rounds, startRounds } from "../domain/rounds.ts";
import { callJson } from "./json-call.ts";

/** What must be known to say that Paramedic is well. */
export interface Vitals {
  /** For how many seconds the oldest due run has waited for a worker; 0: none waits. */
  readonly oldestDueSeconds: number;
  /** Escalations that were given up, and those that cannot be told for some time; of those that have reached nobody. */
  readonly dead: number;
  readonly failing: number;
  /** For how many seconds the oldest due message of these has waited to be delivered; 0: none waits. */
  readonly oldestMessageSeconds: number;
}

export interface HeartbeatOptions {
  /** Secret: whoever has it can keep the outside quiet. */
  readonly url: string;
  readonly everyMs: number;
  /** A due run that nobody took for so long is stuck. */
  readonly stuckAfterMs: number;
  /** Of all workers one has the turn. To take it writes to the store, which is how it is known to be usable. */
  readonly turns: {
    take(forMs: number): Promise<boolean>;
    sent(everyMs: number): Promise<void>;
    again(inMs: number): Promise<void>;
  };
  readonly vitals: () => Promise<Vitals>;
  /** How long a call may take; 10 seconds where left out, and less than 15. */
  readonly timeoutMs?: number;
  /** How soon what was withheld or not heard is tried again; 5 seconds where left out. */
  readonly againMs?: number;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

const callWithinMs = 10_000;
/** Longer than a call takes: when its worker is killed, another one has the turn afterwards. */
const turnMs = 15_000;
const triedAgainMs = 5_000;
/** Messages that wait their turn in a flood are no trouble yet. */
const messagesLateAfterSeconds = 120;

const storeIsAway = "the store cannot be used";

/** Starts sending. The first one is sent within `everyMs`, or 5 seconds where that is longer. */
export function startHeartbeat(options: HeartbeatOptions): Pick<Rounds, "stop"> {
  const { url, everyMs, timeoutMs = callWithinMs, againMs = triedAgainMs, turns, log } = options;
  const soonMs = Math.min(everyMs, againMs);
  /** What was wrong last, so that each change is logged once; null: nothing. */
  let trouble: string | null | undefined;

  async function round(signal: AbortSignal): Promise<void> {
    if (!(await turns.take(turnMs))) return;
    const vitals = await options.vitals().catch(async (error: unknown) => {
      await turns.again(soonMs);
      throw error;
    });
    const unwell = whyUnwell(vitals, options.stuckAfterMs);
    const unheard = unwell === null ? await call(url, timeoutMs, signal) : null;
    if (signal.aborted && unheard !== null) return turns.again(0);
    const reason = unwell ?? unheard;
    tell(reason, unwell !== null);
    if (reason === null) await turns.sent(everyMs);
    else await turns.again(soonMs);
  }

  function tell(reason: string | null, withheld: boolean): void {
    if (reason === trouble) return;
    trouble = reason;
    if (reason === null) log.info({}, "the heartbeat is heard outside");
    else if (withheld) log.warn({ reason }, "the heartbeat is withheld, so that the outside calls people");
    else log.warn({ reason }, "the heartbeat was not heard; trying again");
  }

  return startRounds(soonMs, round, (error) => {
    if (trouble !== storeIsAway) {
      log.warn({ err: error, reason: storeIsAway }, "the heartbeat is withheld, so that the outside calls people");
    }
    trouble = storeIsAway;
  });
}

/**
 * Why people should look at Paramedic itself; null: it is well. That it is paused is no reason, since people wanted that,
 * and neither is a message that fails while somebody was told of its run: readiness and the metric have it.
 */
export function whyUnwell(vitals: Vitals, stuckAfterMs: number): string | null {
  if (vitals.oldestDueSeconds * 1_000 > stuckAfterMs) return "runs are due and nobody drives them";
  if (vitals.dead > 0) return "what people must look at was given up, and nobody was told";
  if (vitals.failing > 0) return "what people must look at cannot be delivered";
  return vitals.oldestMessageSeconds > messagesLateAfterSeconds ? "what people must look at is not delivered" : null;
}

/** Calls once; why it was not heard, without the address and without what was answered, which may repeat it. */
async function call(url: string, timeoutMs: number, signal: AbortSignal): Promise<string | null> {
  const answer = await callJson(
    {
      method: "GET",
      url: new URL(url),
      headers: { "cache-control": "no-store" },
      timeoutMs,
      name: "The service behind heartbeat.url",
      secret: url,
    },
    signal,
  );
  if (answer.ok) return null;
  return answer.status === null
    ? answer.reason
    : `The service behind heartbeat.url answered with the HTTP status ${answer.status}; a redirect is not followed.`;
}
