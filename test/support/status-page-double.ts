/**
 * Stands for Atlassian Statuspage's incident API and for a plain webhook (`/hook`): checks what it is given, keeps what
 * stands on the page, and fails on demand.
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** A call as it came; `body` is null where it was no JSON object. */
export interface StatusPageCall {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>> | null;
}

/** What stands on the page: each status with its text, the newest last. */
export interface ShownEntry {
  readonly id: string;
  readonly name: string;
  readonly metadata: unknown;
  status: string;
  readonly updates: { readonly status: string; readonly body: string }[];
}

/**
 * How a server fails: `hang` never answers, `hang-in-body` never finishes its answer, `reset` ends the connection,
 * `lose-answer` does what it is asked and then ends the connection, `html-503` and `html-200` answer with a page,
 * `echo-400` refuses and repeats the token, `redirect` points elsewhere, `huge` answers 5 MB; numbers are answers with
 * that status, 429 and 503 with a Retry-After of seven seconds.
 */
export type StatusPageFailure =
  | "hang"
  | "hang-in-body"
  | "reset"
  | "lose-answer"
  | "html-503"
  | "html-200"
  | "echo-400"
  | "redirect"
  | "huge"
  | number;

export interface StatusPageDouble {
  /** The API's address, as `statusPage.url`. */
  readonly url: string;
  /** The webhook's address. */
  readonly hookUrl: string;
  readonly calls: readonly StatusPageCall[];
  readonly entries: readonly ShownEntry[];
  /** Fails from now on, or after some calls, or at methods of one name only; null: works again. */
  fail(failure: StatusPageFailure | null, when?: { readonly method?: string; readonly after?: number }): void;
  /** Closes or edits an entry as a person would. */
  setStatus(id: string, status: string): void;
  /** Puts entries of others on the page. */
  crowd(count: number): void;
  stop(): Promise<void>;
}

/** Starts one on 127.0.0.1 for the page `pageId` and the token `token`. */
export async function startStatusPageDouble({ pageId = "page1", token = "canary-token-0123456789" } = {}) {
  const calls: StatusPageCall[] = [];
  const entries: ShownEntry[] = [];
  const sockets = new Set<Socket>();
  let failure: { readonly how: StatusPageFailure; readonly method: string | undefined; readonly from: number } | null =
    null;

  const server = createServer(async (request, response) => {
    const body = parse(await readAll(request));
    const { method = "", url = "", headers } = request;
    calls.push({ method, path: url, headers, body });
    const how = failure && calls.length > failure.from && (failure.method ?? method) === method ? failure.how : null;
    if (how !== null && how !== "lose-answer") return failWith(how, request, response);
    const [status, answered] = url.startsWith("/hook")
      ? hook(headers, body, token)
      : pages({ method, url, headers, body }, { pageId, token, entries });
    if (how === "lose-answer") return void request.socket.destroy();
    return answer(response, status, answered);
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((listening) => {
    server.listen(0, "127.0.0.1", listening);
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const double: StatusPageDouble = {
    url: `${origin}/v1`,
    hookUrl: `${origin}/hook`,
    calls,
    entries,
    fail: (how, { method, after = 0 } = {}) => {
      failure = how === null ? null : { how, method, from: calls.length + after };
    },
    setStatus: (id, status) => {
      const entry = entries.find((one) => one.id === id);
      if (entry) entry.status = status;
    },
    crowd: (count) => {
      for (let index = 0; index < count; index += 1) {
        entries.unshift({ id: `other${index}`, name: "another", metadata: {}, status: "investigating", updates: [] });
      }
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => {
        server.close(closed);
      });
    },
  };
  return { double, pageId, token: { reveal: () => token } };
}

type Given = Pick<StatusPageCall, "method" | "headers" | "body"> & { readonly url: string };

function hook(headers: StatusPageCall["headers"], body: StatusPageCall["body"], token: string): [number, object] {
  if (headers.authorization !== undefined && headers.authorization !== `Bearer ${token}`) return [401, {}];
  return body ? [200, {}] : [422, { error: "no JSON" }];
}

/** Statuspage, as its documentation describes it. */
function pages(
  { method, url, headers, body }: Given,
  page: { readonly pageId: string; readonly token: string; readonly entries: ShownEntry[] },
): [number, unknown] {
  if (headers.authorization !== `OAuth ${page.token}`) return [401, { error: "Could not authenticate" }];
  const { pathname, searchParams } = new URL(url, "http://double");
  const below = pathname.match(new RegExp(`^/v1/pages/${page.pageId}/incidents(?:/([a-z0-9]+))?$`));
  if (!below) return [404, { error: "The requested resource could not be found" }];
  const given = (body?.["incident"] ?? {}) as Record<string, unknown>;
  const wrong = problemOf(given);
  if (method === "POST" && !below[1]) {
    if (wrong !== null) return [422, { error: [wrong] }];
    if (typeof given["name"] !== "string" || given["name"] === "" || given["name"].length > 255) {
      return [422, { error: ["Name is invalid"] }];
    }
    const { name, metadata = {} } = given;
    const entry = { id: `e${page.entries.length + 1}`, name, metadata, status: "", updates: [] };
    page.entries.unshift(entry);
    return [201, asAnswer(update(entry, given))];
  }
  if (method === "GET" && below[1] === "unresolved") {
    const [number, size] = [Number(searchParams.get("page") ?? 1), Number(searchParams.get("per_page") ?? 100)];
    const open = page.entries.filter(({ status }) => status !== "resolved" && status !== "postmortem");
    return [200, open.slice((number - 1) * size, number * size).map(asAnswer)];
  }
  const entry = page.entries.find(({ id }) => id === below[1]);
  if (!entry) return [404, { error: "The requested resource could not be found" }];
  if (method === "PATCH") return wrong === null ? [200, asAnswer(update(entry, given))] : [422, { error: [wrong] }];
  return [200, asAnswer(entry)];
}

function problemOf({ status, body }: Record<string, unknown>): string | null {
  if (status === undefined && body === undefined) return null;
  if (!["investigating", "identified", "monitoring", "resolved"].includes(String(status))) return "Status is invalid";
  return typeof body === "string" && body.trim() !== "" ? null : "Body is invalid";
}

function update(entry: ShownEntry, given: Record<string, unknown>): ShownEntry {
  entry.status = String(given["status"]);
  entry.updates.push({ status: entry.status, body: String(given["body"]) });
  return entry;
}

function asAnswer({ updates, ...entry }: ShownEntry): object {
  return { ...entry, incident_updates: updates.toReversed() };
}

function failWith(how: Exclude<StatusPageFailure, "lose-answer">, request: IncomingMessage, response: ServerResponse) {
  switch (how) {
    case "hang":
      return;
    case "hang-in-body":
      response.writeHead(200, { "content-type": "application/json" }).write('{"id":');
      return;
    case "reset":
      request.socket.destroy();
      return;
    case "html-200":
    case "html-503":
      response.writeHead(how === "html-503" ? 503 : 200, { "content-type": "text/html" }).end("<html>busy</html>");
      return;
    case "echo-400":
      answer(response, 400, { error: [`no such token: ${request.headers.authorization}`] });
      return;
    case "redirect":
      response.writeHead(307, { location: `http://${request.headers.host}/elsewhere` }).end();
      return;
    case "huge":
      answer(response, 200, { id: "x".repeat(5 * 1024 * 1024) });
      return;
    default:
      if (how === 429 || how === 503) response.setHeader("retry-after", "7");
      answer(response, how, { error: `the double answers ${how}` });
  }
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function parse(raw: Buffer): StatusPageCall["body"] {
  try {
    const value: unknown = JSON.parse(raw.toString("utf8"));
    return typeof value === "object" ? (value as StatusPageCall["body"]) : null;
  } catch {
    return null;
  }
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
