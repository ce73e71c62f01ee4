/** Slack's side of Socket Mode: a WebSocket server that sends envelopes and waits until the app acknowledges them. */

import { randomUUID } from "node:crypto";
import type { Server } from "node:http";
import { type WebSocket, WebSocketServer } from "ws";
import type { Answered } from "./slack-double-requests.ts";

export type EnvelopeKind = "interactive" | "slash_commands";

export interface Envelope {
  readonly id: string;
  readonly kind: EnvelopeKind;
  readonly payload: object;
}

export interface SlackSocket {
  /** How many connections are open. */
  connections(): number;
  /** The acknowledgements, in the order in which they came: envelope ids. */
  readonly acknowledged: readonly string[];
  /** Those that were sent, to be sent again. */
  readonly envelopes: readonly Envelope[];
  /** The same envelope once more, with another `retry_attempt` or, as bolt-js#2487 has seen, with 0. */
  redeliver(envelope: Envelope, retryAttempt?: number): Promise<Answered>;
  /** Ends every connection without a word. */
  drop(): void;
  /** Asks every client to connect anew, as Slack does every few hours. */
  refresh(): void;
}

export interface SocketServer extends SlackSocket {
  /** What `apps.connections.open` answers: an address that works once. */
  ticket(host: string): string;
  send(kind: EnvelopeKind, payload: object): Promise<Answered>;
  stop(): Promise<void>;
}

const acknowledgeWithinMs = 10_000;

/** Answers upgrades of `server` below `/link`. */
export function openSocketServer(server: Server, appId: string): SocketServer {
  const tickets = new Set<string>();
  const waiting = new Map<string, (body: string) => void>();
  const acknowledged: string[] = [];
  const envelopes: Envelope[] = [];
  const pings = new Set<NodeJS.Timeout>();
  const sockets = new WebSocketServer({ noServer: true });

  server.on("upgrade", (request, socket, head) => {
    const ticket = new URL(request.url ?? "/", "ws://double").searchParams.get("ticket") ?? "";
    if (!tickets.delete(ticket)) return void socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
    sockets.handleUpgrade(request, socket, head, (client) => greet(client));
  });

  function greet(client: WebSocket): void {
    const ping = setInterval(() => client.ping(), 5_000);
    pings.add(ping);
    client.on("error", () => undefined);
    client.on("close", () => {
      clearInterval(ping);
      pings.delete(ping);
    });
    client.on("message", (data) => {
      const message = JSON.parse(String(data)) as { readonly envelope_id?: string; readonly payload?: unknown };
      if (!message.envelope_id) return;
      acknowledged.push(message.envelope_id);
      waiting.get(message.envelope_id)?.(message.payload === undefined ? "" : JSON.stringify(message.payload));
      waiting.delete(message.envelope_id);
    });
    client.send(
      JSON.stringify({
        type: "hello",
        num_connections: sockets.clients.size,
        connection_info: { app_id: appId },
        debug_info: { host: "applink-double", build_number: 1, approximate_connection_time: 18_060 },
      }),
    );
  }

  async function deliver({ id, kind, payload }: Envelope, retry?: number): Promise<Answered> {
    const client = [...sockets.clients].find((one) => one.readyState === one.OPEN);
    if (!client) throw new Error("No socket of the app is open: wait until connections() is 1.");
    const began = performance.now();
    const body = await new Promise<string>((resolve, reject) => {
      const late = setTimeout(() => {
        waiting.delete(id);
        reject(new Error(`The envelope ${id} was not acknowledged within ${acknowledgeWithinMs} ms.`));
      }, acknowledgeWithinMs);
      waiting.set(id, (answer) => {
        clearTimeout(late);
        resolve(answer);
      });
      const again = retry === undefined ? {} : { retry_attempt: retry, retry_reason: retry === 0 ? "" : "timeout" };
      client.send(JSON.stringify({ envelope_id: id, type: kind, accepts_response_payload: true, payload, ...again }));
    });
    return { status: 200, body: body === "{}" ? "" : body, ms: performance.now() - began };
  }

  return {
    acknowledged,
    envelopes,
    connections: () => [...sockets.clients].filter((one) => one.readyState === one.OPEN).length,
    ticket: (host) => {
      const ticket = randomUUID();
      tickets.add(ticket);
      return `ws://${host}/link/?ticket=${ticket}&app_id=${appId}`;
    },
    send: async (kind, payload) => {
      const envelope = { id: randomUUID(), kind, payload };
      envelopes.push(envelope);
      return await deliver(envelope);
    },
    redeliver: async (envelope, retryAttempt = 0) => await deliver(envelope, retryAttempt),
    drop: () => {
      for (const client of sockets.clients) client.terminate();
    },
    refresh: () => {
      for (const client of sockets.clients) {
        client.send(
          JSON.stringify({ type: "disconnect", reason: "refresh_requested", debug_info: { host: "double" } }),
        );
      }
    },
    stop: async () => {
      for (const client of sockets.clients) client.terminate();
      for (const ping of pings) clearInterval(ping);
      await new Promise((closed) => {
        sockets.close(closed);
      });
    },
  };
}
