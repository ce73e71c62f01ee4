/** One HTTP call with JSON, bounded in time and size: no redirects, and what somebody else answers never throws. */

import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { deadlineOf } from "../domain/deadline.ts";
import { oneLine } from "./one-line.ts";
import type { Delivered } from "./way.ts";

const largestAnswerBytes = 4 * 1024 * 1024;
const longestComplaint = 200;
const longestRetryAfterMs = 3_600_000;

export interface JsonCall {
  readonly method: "GET" | "POST" | "PATCH";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Left out: no body. */
  readonly body?: object;
  readonly timeoutMs: number;
  /** How the other side is called in reasons. */
  readonly name: string;
  /** Never told in reasons, even where the answer repeats it; null: there is none. */
  readonly secret: string | null;
}

/** `body` is undefined where the answer was no JSON. */
export type JsonAnswer = { readonly ok: true; readonly body: unknown } | Refused;
/** `status` is null where nothing was answered. */
export type Refused = Extract<Delivered, { readonly ok: false }> & { readonly status: number | null };

/**
 * Calls once. Every answer but a 2xx is a failure: those of 408, 409, 420, 425, 429 and from 500 on may pass, with
 * their Retry-After where they have one. Never rejects.
 */
export async function callJson(call: JsonCall, signal: AbortSignal): Promise<JsonAnswer> {
  const { name, timeoutMs } = call;
  const deadline = deadlineOf([signal], timeoutMs);
  try {
    const response = await request(call, deadline.signal);
    const status = response.statusCode ?? 0;
    if (status >= 300 && status < 400) {
      response.destroy();
      return refused(
        status,
        `${name} redirects (${status}), which is not followed. Configure the final address.`,
        false,
      );
    }
    const text = await read(response);
    if (text === null) return refused(status, `${name} answered with more than 4 MiB.`, true);
    const body = parse(text);
    if (status >= 200 && status < 300) return { ok: true, body };
    const complaint = complaintOf(body, call.secret);
    const reason = `${name} refused the call (${status})${complaint && `: ${complaint}`}.`;
    return { ...refused(status, reason, mayPass(status)), ...retryAfterOf(response) };
  } catch (error) {
    if (signal.aborted) return refused(null, `Stopped while waiting for ${name}.`, true);
    if (deadline.signal.aborted) return refused(null, `${name} did not answer within ${timeoutMs} ms.`, true);
    const { code = "no connection" } = error as { readonly code?: string };
    return refused(null, `${name} cannot be reached: ${oneLine(code, 80)}.`, true);
  } finally {
    deadline.release();
  }
}

function request({ method, url, headers, body }: JsonCall, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((settle, reject) => {
    const { request: begin } = url.protocol === "https:" ? https : http;
    const payload = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const all = {
      accept: "application/json",
      "user-agent": "paramedic",
      ...(payload ? { "content-type": "application/json", "content-length": payload.length } : {}),
      ...headers,
    };
    // Without keep-alive there is no connection that has gone stale between two announcements.
    const sent = begin(url, { method, headers: all, agent: false, signal }, settle);
    sent.on("error", reject);
    sent.end(payload ?? undefined);
  });
}

/** The whole answer; null where it is larger than allowed. */
async function read(response: IncomingMessage): Promise<string | null> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > largestAnswerBytes) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function mayPass(status: number): boolean {
  return status >= 500 || [408, 409, 420, 425, 429].includes(status);
}

/** Seconds or a date, RFC 9110; at most an hour. */
function retryAfterOf(response: IncomingMessage): { readonly retryAfterMs?: number } {
  const given = response.headers["retry-after"];
  if (given === undefined) return {};
  const ms = /^\d+$/.test(given) ? Number(given) * 1_000 : Date.parse(given) - Date.now();
  return ms > 0 ? { retryAfterMs: Math.min(ms, longestRetryAfterMs) } : {};
}

/** What the other side says is wrong, where it says so as most do. */
function complaintOf(body: unknown, secret: string | null): string {
  const { error, message } = (typeof body === "object" && body !== null ? body : {}) as {
    readonly error?: unknown;
    readonly message?: unknown;
  };
  const said = [error, message].flat().filter((one) => typeof one === "string");
  const text = said.join("; ");
  return oneLine(secret ? text.replaceAll(secret, "[secret]") : text, longestComplaint).replace(/\.$/, "");
}

function refused(status: number | null, reason: string, retryable: boolean): Refused {
  return { ok: false, status, reason, retryable };
}
