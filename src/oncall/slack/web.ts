/**
 * Calls Slack's Web API by Bolt's client, once and bounded. By itself the client repeats a call for half an hour, waits
 * without end, and writes to the console.
 */

import { webApi } from "@slack/bolt";
import type { JsonObject } from "../../domain/json.ts";
import { oneLine } from "../one-line.ts";
import { within } from "../within.ts";
import type { WebAnswer, WebCall } from "./web-call.ts";
import { isPassing, whatToDo } from "./web-errors.ts";

type Refused = Extract<WebAnswer, { readonly ok: false }>;

/** How a request went before the client made something of it: its own errors lose the cause, or quote what was answered. */
interface Seen {
  status: number | null;
  retryAfter: number | null;
  failure: unknown;
}

const deadlineMs = 10_000;
const silent: Required<webApi.WebClientOptions>["logger"] = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  setLevel: () => undefined,
  getLevel: () => "error" as webApi.LogLevel,
  setName: () => undefined,
};

/**
 * Prepares calls with one token to the Web API at `apiUrl`, with or without a final slash. A call takes at most
 * `timeoutMs` (10 seconds); then, and when its signal aborts, the request is ended. No reason holds the token.
 */
export function createSlackWeb(options: {
  readonly token: string;
  readonly apiUrl: string;
  readonly timeoutMs?: number;
}): WebCall {
  const { token, timeoutMs = deadlineMs } = options;
  const slackApiUrl = `${options.apiUrl.replace(/\/+$/, "")}/`;

  return async (method, args, signal) => {
    const seen: Seen = { status: null, retryAfter: null, failure: null };
    const what = args["channel"] === undefined ? method : `${method} in ${oneLine(String(args["channel"]), 80)}`;
    try {
      const bounded = await within(timeoutMs, signal, async (given) => {
        // A client for each call, since it takes no signal but through its `fetch`.
        const client = new webApi.WebClient(token, {
          slackApiUrl,
          fetch: fetchUntil(given, seen),
          retryConfig: { retries: 0 },
          rejectRateLimitedCalls: true,
          allowAbsoluteUrls: false,
          logger: silent,
        });
        return await client.apiCall(method, { ...args });
      });
      if (bounded.kind === "done") return { ok: true, response: bounded.value as unknown as JsonObject };
      if (bounded.kind === "late") return failed("late", `Slack did not answer ${what} within ${timeoutMs} ms.`, true);
      return failed("stopped", `Stopped while Slack was asked for ${what}.`, true);
    } catch (error) {
      return judge(error, seen, what, new URL(slackApiUrl).host);
    }
  };
}

function fetchUntil(signal: AbortSignal, seen: Seen): webApi.FetchFunction {
  return async (url, init) => {
    try {
      const response = await fetch(url, { ...init, signal });
      const retryAfter = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
      seen.status = response.status;
      seen.retryAfter = Number.isNaN(retryAfter) ? null : retryAfter * 1_000;
      return response;
    } catch (error) {
      seen.failure = error;
      throw error;
    }
  };
}

function judge(error: unknown, seen: Seen, what: string, host: string): Refused {
  const { status, failure } = seen;
  if (status === null) return unreachable(failure ?? error, host);
  if (status === 429) return limited(seen, what);
  if (status >= 500 || status === 408) {
    return failed("unreachable", `Slack answered ${what} with the HTTP status ${status}.`, true);
  }
  const { code, data } = error as { readonly code?: string; readonly data?: JsonObject };
  const said = code === webApi.ErrorCode.PlatformError ? data?.["error"] : null;
  // Slack's errors look like this; the client takes whatever else was answered for one.
  if (typeof said !== "string" || !/^[a-z0-9_]{1,80}$/.test(said)) {
    const reason = `What answered ${what} (HTTP status ${status}) did not answer as Slack does; check slack.apiUrl.`;
    return failed("unreadable", reason, status === 200);
  }
  if (said === "ratelimited" || said === "rate_limited") return limited(seen, what);
  return failed(said, `Slack refused ${what} (${said}): ${whatToDo(said, data ?? {})}.`, isPassing(said));
}

function unreachable(error: unknown, host: string): Refused {
  const { code, cause, name } = error as { code?: string; cause?: { code?: string; message?: string }; name?: string };
  if (cause?.message === "unexpected redirect") {
    const reason = "What stands for Slack redirects, which is not followed; check slack.apiUrl.";
    return failed("unreachable", reason, false);
  }
  const why = oneLine(String(cause?.code ?? code ?? name ?? "unknown"), 80);
  return failed("unreachable", `Slack cannot be reached at ${host}: ${why}.`, true);
}

function limited({ retryAfter }: Seen, what: string): Refused {
  const refused = failed("ratelimited", `Slack takes no more calls of ${what} for the moment.`, true);
  return retryAfter === null ? refused : { ...refused, retryAfterMs: retryAfter };
}

function failed(error: string, reason: string, retryable: boolean): Refused {
  return { ok: false, error, reason, retryable };
}
