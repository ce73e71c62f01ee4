/** Leaves a channel alone for as long as Slack asks: what is to be posted there meanwhile is refused here, without a call. */

import { oneLine } from "../one-line.ts";
import type { WebCall } from "./web-call.ts";

const method = "chat.postMessage";
/** Where Slack does not say how long. */
const usualMs = 1_000;
/** A wrong header must not silence a channel for hours. */
const longestMs = 300_000;
/** Slack takes about one message a second in a channel: those that wait do not all come back at once. */
const apartMs = 1_000;
const mostApart = 60;

interface Pause {
  readonly until: number;
  /** How many were refused here since it began. */
  readonly refused: number;
}

/** The same calls, paced. `now` is in milliseconds and never goes back. */
export function paced(call: WebCall, now: () => number = () => performance.now()): WebCall {
  const pauses = new Map<string, Pause>();
  /** Slack's id by the name that the configuration gives the channel. */
  const ids = new Map<string, string>();

  return async (asked, args, signal) => {
    const { channel } = args;
    if (asked !== method || typeof channel !== "string") return call(asked, args, signal);
    const key = () => ids.get(channel) ?? channel;
    const pause = pauses.get(key());
    const leftMs = pause ? pause.until - now() : 0;
    if (pause && leftMs > 0) {
      const refused = Math.min(pause.refused + 1, mostApart);
      pauses.set(key(), { ...pause, refused });
      const reason = `Slack takes no more calls of ${method} in ${oneLine(channel, 80)} for the moment.`;
      const retryAfterMs = Math.ceil(leftMs) + refused * apartMs;
      return { ok: false, error: "ratelimited", reason, retryable: true, retryAfterMs };
    }
    pauses.delete(key());
    const answer = await call(asked, args, signal);
    if (answer.ok && typeof answer.response["channel"] === "string") ids.set(channel, answer.response["channel"]);
    if (!answer.ok && answer.error === "ratelimited") {
      const until = now() + Math.min(answer.retryAfterMs ?? usualMs, longestMs);
      pauses.set(key(), { until, refused: 0 });
    }
    return answer;
  };
}
