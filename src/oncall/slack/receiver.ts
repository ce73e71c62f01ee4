/**
 * Takes what Slack posts to Paramedic's own HTTP server: only signed, only recent, only by POST. Bolt is told of what is
 * genuine and nothing else; its own receivers accept signatures from the future and read bodies before they look at them.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { verifySlackRequest } from "@slack/bolt";
import type { DoorLog } from "./world.ts";

/** Where Slack is to send clicks, windows and commands. */
export const requestPath = "/slack/events";

/** What Slack sent, and the answer that it waits for. To acknowledge a second time does nothing. */
export interface Incoming {
  readonly body: Record<string, unknown>;
  readonly ack: (answer?: unknown) => Promise<void>;
}

/** A middleware for Express, or for anything with Node's requests and responses. Must come before every body parser. */
export type SlackRouter = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

export interface ReceiverOptions {
  readonly signingSecret: string;
  readonly now: () => number;
  /** Told by how many seconds our clock is ahead of Slack's, of requests with a valid signature. */
  readonly onSkew: (seconds: number) => void;
  /** Rejects only by a bug. */
  readonly take: (incoming: Incoming) => Promise<void>;
  readonly log: DoorLog;
}

/** A click brings the whole message along; fifty full blocks are less than this. */
const mostBytes = 1_048_576;
const mostUnsignedBytes = 4_096;
/** Slack's own bound. In both directions: a signature from the future would be good for all the time until then. */
const mostSkewSeconds = 300;

/** Makes the middleware. Throws where the secret is empty: an empty one makes every signature forgeable. */
export function createReceiver(options: ReceiverOptions): SlackRouter {
  const { signingSecret, now, onSkew, take, log } = options;
  if (signingSecret.trim() === "") throw new Error("Slack's signing secret is empty");

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "POST") return answer(response, 405, { allow: "POST", connection: "close" });
    const signed = signatureOf(request);
    const text = await readText(request, signed ? mostBytes : mostUnsignedBytes);
    if (text === "gone") return;
    if (text === null && signed) return answer(response, 413, { connection: "close" });
    const form = text !== null && isForm(request) ? new URLSearchParams(text) : null;
    // Slack looks whether the address answers over TLS, without a signature.
    if (!signed && form?.get("ssl_check") === "1") return answer(response, 200);
    const why = signed && text !== null ? whyForged(signed, text) : "it is not signed";
    if (why !== null || text === null) {
      log.warn({ who: request.socket.remoteAddress, why }, "A request in Slack's name was refused");
      return answer(response, 401, text === null ? { connection: "close" } : {});
    }
    if (form?.get("ssl_check") === "1") return answer(response, 200);
    const body = bodyOf(form, text);
    if (body === null) return answer(response, 400);
    if (body["type"] === "url_verification")
      return answerJson(response, { challenge: String(body["challenge"] ?? "") });
    const ack = async (given?: unknown) => {
      if (response.headersSent) return;
      if (given === undefined || given === "") answer(response, 200);
      else answerJson(response, given);
    };
    await take({ body, ack });
    // What nobody here waits for, such as the press of a link, is not to be shown as a failure.
    await ack();
  }

  function whyForged(signed: Signature, body: string): string | null {
    try {
      const headers = { "x-slack-signature": signed.signature, "x-slack-request-timestamp": signed.seconds };
      // Its own look at the age has nothing to do with the signature, and is done below for both directions.
      verifySlackRequest({ signingSecret, body, headers, nowMilliseconds: signed.seconds * 1_000 });
    } catch {
      return "its signature is wrong";
    }
    const skew = now() / 1_000 - signed.seconds;
    onSkew(skew);
    return Math.abs(skew) > mostSkewSeconds ? `its time differs from ours by ${Math.round(skew)} s` : null;
  }

  return (request, response, next) => {
    if (pathOf(request) !== requestPath) return next();
    receive(request, response).catch((error: unknown) => {
      log.error({ err: error }, "A request of Slack failed by a bug");
      if (response.headersSent) response.destroy();
      else answer(response, 500, { connection: "close" });
    });
  };
}

interface Signature {
  readonly signature: string;
  readonly seconds: number;
}

/** Null where the request bears none that could be valid. */
function signatureOf({ headers }: IncomingMessage): Signature | null {
  const signature = headers["x-slack-signature"];
  const timestamp = headers["x-slack-request-timestamp"];
  if (typeof signature !== "string" || !/^v0=[0-9a-f]{64}$/.test(signature)) return null;
  if (typeof timestamp !== "string" || !/^[1-9]\d{0,11}$/.test(timestamp)) return null;
  return { signature, seconds: Number(timestamp) };
}

function isForm({ headers }: IncomingMessage): boolean {
  return /^application\/x-www-form-urlencoded *(;|$)/i.test(headers["content-type"] ?? "");
}

/** A form, the JSON in its field `payload`, or JSON; null where it is none of these or no object. */
function bodyOf(form: URLSearchParams | null, text: string): Record<string, unknown> | null {
  const payload = form === null ? text : form.get("payload");
  if (payload === null) return Object.fromEntries(form ?? []);
  try {
    const body: unknown = JSON.parse(payload);
    return typeof body === "object" && body !== null && !Array.isArray(body) ? (body as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** The path without what follows a `?`, whatever the server has stripped of it. */
function pathOf(request: IncomingMessage): string {
  const whole = (request as { readonly originalUrl?: string }).originalUrl ?? request.url ?? "";
  return whole.split("?", 1)[0] ?? "";
}

/** The body; null: it is larger than `most` bytes. Its text is what was signed, so nothing is decoded but UTF-8. */
function readText(request: IncomingMessage, most: number): Promise<string | null | "gone"> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    if (Number(request.headers["content-length"] ?? 0) > most) return resolve(null);
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= most) chunks.push(chunk);
      else {
        request.pause();
        resolve(null);
      }
    });
    request.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    request.on("close", () => resolve("gone"));
    request.on("error", () => resolve("gone"));
  });
}

const problemNames: Readonly<Record<number, readonly [string, string]>> = {
  400: ["malformed-request", "This is nothing that Slack sends"],
  401: ["unauthorized", "A valid signature of Slack is needed"],
  405: ["method-not-allowed", "This path does not know this method"],
  413: ["body-too-large", "The body is too large"],
  500: ["internal-error", "Paramedic failed to answer"],
};

function answer(response: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}): void {
  const named = problemNames[status];
  const body = named ? JSON.stringify({ type: `urn:paramedic:problem:${named[0]}`, status, title: named[1] }) : "";
  write(response, status, body, { ...(named ? { "content-type": "application/problem+json" } : {}), ...headers });
}

function answerJson(response: ServerResponse, given: unknown): void {
  write(response, 200, JSON.stringify(given), { "content-type": "application/json" });
}

function write(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(status, { "content-length": Buffer.byteLength(body), "cache-control": "no-store", ...headers });
  response.end(body);
}
