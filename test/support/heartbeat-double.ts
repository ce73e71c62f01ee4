/** Stands for a service that calls people once it hears no heartbeat: keeps what it hears, and fails on demand. */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** `hang` never answers, `reset` ends the connection, `redirect` points to another path; numbers are answers with that status, which repeat the address. */
export type HeartbeatFailure = "hang" | "reset" | "redirect" | number;

export interface HeartbeatDouble {
  /** The secret address, as `heartbeat.url`. */
  readonly url: string;
  /** The calls that came, as `GET /path`, in order. */
  readonly calls: readonly string[];
  /** How many of them were answered with 200. */
  heard(): number;
  /** For how long nothing was heard, in milliseconds. */
  silentMs(): number;
  /** Fails from now on; null: works again. */
  fail(failure: HeartbeatFailure | null): void;
  stop(): Promise<void>;
}

const path = "/ping/canary-5f1c0de8-heartbeat";

/** Starts one on 127.0.0.1. */
export async function startHeartbeatDouble(): Promise<HeartbeatDouble> {
  const calls: string[] = [];
  const sockets = new Set<Socket>();
  let failure: HeartbeatFailure | null = null;
  let heard = 0;
  let lastAt = performance.now();

  function answer(url: string, response: ServerResponse): void {
    if (failure === "hang") return;
    if (failure === "reset") return void response.socket?.destroy();
    if (failure === "redirect") return void response.writeHead(302, { location: "/elsewhere" }).end();
    if (failure !== null) {
      const body = JSON.stringify({ error: `there is no check ${url}` });
      return void response.writeHead(failure, { "content-type": "application/json" }).end(body);
    }
    heard += 1;
    lastAt = performance.now();
    response.writeHead(200, { "content-type": "text/plain" }).end("OK");
  }

  const server = createServer(({ method, url = "" }, response) => {
    calls.push(`${method} ${url}`);
    answer(url, response);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((listening) => {
    server.listen(0, "127.0.0.1", listening);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    calls,
    heard: () => heard,
    silentMs: () => performance.now() - lastAt,
    fail: (next) => {
      failure = next;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => {
        server.close(closed);
      });
    },
  };
}
