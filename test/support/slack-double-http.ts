/** How the Slack double reads requests and answers them, and how it fails to. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { type Fields, isFields } from "./slack-double-blocks.ts";

/**
 * How a method fails: with an error of Slack's, with 429 and `Retry-After`, with an HTTP status and a page, without ever
 * an answer (`hang`, `hang-in-body`), with the connection ended before anything was done (`reset`) or after
 * (`answer-lost`), with something that is no JSON (`not-json`), or not at all but late.
 */
export type SlackFailure =
  | { readonly error: string }
  | { readonly retryAfter: number }
  | { readonly status: number }
  | { readonly afterMs: number }
  | "hang"
  | "hang-in-body"
  | "reset"
  | "answer-lost"
  | "not-json";

export function failWith(failure: SlackFailure, request: IncomingMessage, response: ServerResponse): void {
  const html = { "content-type": "text/html" };
  if (failure === "reset") request.socket.destroy();
  if (failure === "hang-in-body") response.writeHead(200, { "content-type": "application/json" }).write('{"ok":');
  if (failure === "not-json") response.writeHead(200, html).end("<html>hello");
  if (typeof failure !== "object") return;
  if ("error" in failure) json(response, { ok: false, error: failure.error });
  if ("status" in failure) response.writeHead(failure.status, html).end("<html>upstream connect error</html>");
  if (!("retryAfter" in failure)) return;
  response.setHeader("retry-after", String(failure.retryAfter));
  json(response, { ok: false, error: "ratelimited" }, 429);
}

/** Slack takes JSON, and forms in which what is no text is JSON. */
export function argumentsOf(request: IncomingMessage, raw: string): Fields {
  if ((request.headers["content-type"] ?? "").startsWith("application/json")) return parsed(raw);
  const query = new URL(request.url ?? "/", "http://double").searchParams;
  const fields = [...query, ...new URLSearchParams(raw)].map(([name, value]) => {
    const isJson = ["blocks", "view", "metadata", "attachments"].includes(name);
    return [name, isJson ? parsedAny(value) : value] as const;
  });
  return Object.fromEntries(fields);
}

export function parsed(text: string): Fields {
  const value = parsedAny(text);
  return isFields(value) ? value : {};
}

function parsedAny(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function json(response: ServerResponse, body: Fields, status = 200): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}

export async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
