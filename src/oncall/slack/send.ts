/** Says something in a channel, literally, for actions: outside of any run's own messages. */

import { oneLine } from "../one-line.ts";
import { notification, plainLines } from "./escape.ts";
import { post, type Refused } from "./speak.ts";
import type { WebCall } from "./web-call.ts";

const longestText = 2_900;
const longestNotification = 200;

type Sent = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly retryable: boolean };

export interface Sender {
  /** Whether Slack answers and takes the token. */
  check(signal: AbortSignal): Promise<Sent>;
  send(channel: string, text: string, signal: AbortSignal): Promise<Sent>;
}

/** Prepares it over Slack's Web API. Nothing of it rejects. */
export function createSender(call: WebCall): Sender {
  return {
    check: async (signal) => sentOf(await call("auth.test", {}, signal)),
    send: async (channel, text, signal) => {
      const lines = text.split("\n").map((line) => oneLine(line, longestText));
      const blocks = [{ type: "section", text: plainLines(lines) }];
      const saying = { text: notification(text, longestNotification), blocks };
      return sentOf(await post(call, channel, [saying], signal));
    },
  };
}

function sentOf(answer: { readonly ok: true } | Refused): Sent {
  return answer.ok ? { ok: true } : { ok: false, reason: answer.reason, retryable: answer.retryable };
}
