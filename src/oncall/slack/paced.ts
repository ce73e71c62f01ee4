/**
 * Leaves Slack alone for as long as it asks. Its limits are those of a method, and for messages those of their channel:
 * the same calls are meanwhile refused here, without being made.
 */

import { oneLine } from "../one-line.ts";
import type { WebCall } from "./web-call.ts";

/** Where Slack does not say how long. */
const usualMs = 1_000;
/** A wrong header must not silence anything for hours. */
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

  return async (method, args, signal) => {
    const channel = method === "chat.postMessage" && typeof args["channel"] === "string" ? args["channel"] : null;
    const key = () => (channel === null ? method : `${method} ${ids.get(channel) ?? channel}`);
    const pause = pauses.get(key());
    const leftMs = pause ? pause.until - now() : 0;
    if (pause && leftMs > 0) {
      const refused = Math.min(pause.refused + 1, mostApart);
      pauses.set(key(), { ...pause, refused });
      const where = channel === null ? "" : ` in ${oneLine(channel, 80)}`;
      const reason = `Slack takes no more calls of ${method}${where} for the moment.`;
      const retryAfterMs = Math.ceil(leftMs) + refused * apartMs;
      return { ok: false, error: "ratelimited", reason, retryable: true, retryAfterMs };
    }
    pauses.delete(key());
    const answer = await call(method, args, signal);
    const id = answer.ok ? answer.response["channel"] : null;
    if (channel !== null && typeof id === "string") ids.set(channel, id);
    if (!answer.ok && answer.error === "ratelimited") {
      const until = now() + Math.min(answer.retryAfterMs ?? usualMs, longestMs);
      pauses.set(key(), { until, refused: 0 });
    }
    return answer;
  };
}
