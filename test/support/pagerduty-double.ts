/**
 * Stands for PagerDuty's Events API v2, over TLS as pdjs demands: checks events as PagerDuty does, knows which alerts
 * are open, and fails on demand. Its certificate is trusted by `ca`, or in another process by NODE_EXTRA_CA_CERTS.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfSignedCertificate } from "./certificate.ts";

/** A request as it came; `body` is null where it was no JSON object. */
export interface PagerDutyRequest {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>> | null;
  readonly bytes: number;
}

/**
 * How a server fails: `hang` never answers, `hang-in-body` never finishes its answer, `reset` ends the connection;
 * `html-200` and `html-503` answer with a page, `echo-400` refuses and repeats the request, `redirect` points elsewhere
 * and `huge` answers 2 MB; numbers are PagerDuty's own answers with that status.
 */
export type PagerDutyFailure =
  | "hang"
  | "hang-in-body"
  | "reset"
  | "html-200"
  | "html-503"
  | "echo-400"
  | "redirect"
  | "huge"
  | 200
  | 400
  | 403
  | 408
  | 429
  | 500;

export interface PagerDutyDouble {
  /** Host and port, as `pagerduty.server` in the configuration. */
  readonly server: string;
  /** The certificate, PEM. */
  readonly ca: string;
  /** The same as a file, for NODE_EXTRA_CA_CERTS of another process. */
  readonly caFile: string;
  readonly requests: readonly PagerDutyRequest[];
  /** The open alerts of a routing key: dedup keys and severities. */
  open(routingKey: string): ReadonlyMap<string, string>;
  /**
   * For which dedup keys the people behind a routing key were notified, in order. What is triggered while its alert is
   * open, acknowledged or not, notifies nobody.
   */
  notified(routingKey: string): readonly string[];
  /** Fails from now on; null: works again. */
  fail(failure: PagerDutyFailure | null): void;
  stop(): Promise<void>;
}

/** Starts one on 127.0.0.1. */
export async function startPagerDutyDouble(): Promise<PagerDutyDouble> {
  const { cert, key } = selfSignedCertificate();
  const folder = mkdtempSync(join(tmpdir(), "pagerduty-double-"));
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, cert);
  const requests: PagerDutyRequest[] = [];
  const alerts = new Map<string, Map<string, string>>();
  const notified: { readonly routingKey: string; readonly dedupKey: string }[] = [];
  const sockets = new Set<Socket>();
  let failure: PagerDutyFailure | null = null;

  const server = createServer({ cert, key }, async (request, response) => {
    const raw = await readAll(request);
    const body = parse(raw);
    requests.push({ path: request.url ?? "", body, bytes: raw.length });
    if (failure !== null) return failWith(failure, raw, request, response);
    const errors = problems(request, body, raw.length);
    if (errors.length > 0 || !body) {
      return answer(response, 400, { status: "invalid event", message: "Event object is invalid", errors });
    }
    const dedupKey = String(body["dedup_key"] ?? "");
    const ofKey = alerts.get(String(body["routing_key"])) ?? new Map<string, string>();
    alerts.set(String(body["routing_key"]), ofKey);
    const payload = body["payload"] as { readonly severity: string } | undefined;
    if (body["event_action"] === "trigger" && payload) {
      if (!ofKey.has(dedupKey)) notified.push({ routingKey: String(body["routing_key"]), dedupKey });
      ofKey.set(dedupKey, payload.severity);
    }
    if (body["event_action"] === "resolve") ofKey.delete(dedupKey);
    return answer(response, 202, { status: "success", message: "Event processed", dedup_key: dedupKey });
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((listening) => {
    server.listen(0, "127.0.0.1", listening);
  });
  const { port } = server.address() as AddressInfo;
  return {
    server: `127.0.0.1:${port}`,
    ca: cert,
    caFile,
    requests,
    notified: (routingKey) => notified.filter((one) => one.routingKey === routingKey).map(({ dedupKey }) => dedupKey),
    open: (routingKey) => alerts.get(routingKey) ?? new Map(),
    fail: (next) => {
      failure = next;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => {
        server.close(closed);
      });
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function failWith(failure: PagerDutyFailure, raw: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const page = "<html><body>upstream connect error</body></html>";
  switch (failure) {
    case "hang":
      return;
    case "hang-in-body":
      response.writeHead(202, { "content-type": "application/json" }).write('{"status":');
      return;
    case "reset":
      request.socket.destroy();
      return;
    case "html-200":
    case "html-503":
      response.writeHead(failure === "html-503" ? 503 : 200, { "content-type": "text/html" }).end(page);
      return;
    case "echo-400":
      answer(response, 400, { status: "invalid event", message: "Invalid", errors: [raw.toString()] });
      return;
    case "redirect":
      response.writeHead(307, { location: `https://${request.headers.host}/elsewhere` }).end();
      return;
    case "huge":
      answer(response, 202, { status: "x".repeat(2_000_000) });
      return;
    case 429:
      response.setHeader("retry-after", "1");
      answer(response, 429, {
        status: "throttle exceeded",
        message: "Requests for this service are arriving too quickly.",
      });
      return;
    default:
      answer(response, failure, { status: "failed", message: `the double answers ${failure}` });
      return;
  }
}

/** What PagerDuty's documentation of the Events API v2 says is refused. */
function problems(request: IncomingMessage, body: PagerDutyRequest["body"], bytes: number): readonly string[] {
  if (request.method !== "POST" || !body) return ["JSON is invalid"];
  const payload = (body["payload"] ?? {}) as Record<string, unknown>;
  const isChange = request.url === "/v2/change/enqueue";
  const isTrigger = body["event_action"] === "trigger";
  const rules: readonly (readonly [boolean, string])[] = [
    [isChange || request.url === "/v2/enqueue", "no such path"],
    [bytes <= 512 * 1024, "Event exceeds the maximum size of 512 KB"],
    [isShort(body["routing_key"], 64), "'routing_key' is missing or blank"],
    [
      isChange || ["trigger", "acknowledge", "resolve"].includes(String(body["event_action"])),
      "'event_action' is invalid",
    ],
    [isChange || isShort(body["dedup_key"], 255), "Length of 'dedup_key' is incorrect (should be between 1 and 255)"],
    [isShort(payload["summary"], 1_024) || !(isTrigger || isChange), "'payload.summary' is missing, blank or too long"],
    [isShort(payload["source"], 10_000) || !isTrigger, "'payload.source' is missing or blank"],
    [
      ["critical", "error", "warning", "info"].includes(String(payload["severity"])) || !isTrigger,
      "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
    ],
    [isTimeOrNone(payload["timestamp"]), "'payload.timestamp' is invalid"],
  ];
  return rules.flatMap(([holds, problem]) => (holds ? [] : [problem]));
}

function isShort(value: unknown, longest: number): boolean {
  return typeof value === "string" && value.trim() !== "" && value.length <= longest;
}

function isTimeOrNone(value: unknown): boolean {
  return value === undefined || (typeof value === "string" && !Number.isNaN(Date.parse(value)));
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function parse(raw: Buffer): PagerDutyRequest["body"] {
  try {
    const value: unknown = JSON.parse(raw.toString("utf8"));
    return typeof value === "object" ? (value as PagerDutyRequest["body"]) : null;
  } catch {
    return null;
  }
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
