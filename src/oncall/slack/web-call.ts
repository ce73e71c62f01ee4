/** How the parts of Slack's way call its Web API: one bounded call, whose failures are values. */

import type { JsonObject } from "../../domain/json.ts";

/** Slack's own answer, or why there is none. */
export type WebAnswer =
  | { readonly ok: true; readonly response: JsonObject }
  | {
      readonly ok: false;
      /** Slack's own error (`channel_not_found`, `ratelimited`), or `unreachable`, `late`, `stopped`, `unreadable`. */
      readonly error: string;
      /** A sentence for people, without any secret. */
      readonly reason: string;
      /** Whether the same call may work later without anybody changing anything. */
      readonly retryable: boolean;
      /** Slack's Retry-After, in milliseconds. */
      readonly retryAfterMs?: number;
    };

/** Calls one method (`chat.postMessage`) once. Never rejects; gives up when the signal aborts or its own time is up. */
export type WebCall = (method: string, args: JsonObject, signal: AbortSignal) => Promise<WebAnswer>;
