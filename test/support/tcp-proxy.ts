/** A TCP proxy in front of a real server that can be cut, hung and slowed, to make the network of a test fail. */

import { connect, createServer, type Server, type Socket } from "node:net";

/** A proxy on 127.0.0.1; whoever connects to `port` talks to the target. */
export interface TcpProxy {
  readonly port: number;
  /** Resets every connection and refuses new ones. */
  cut(): Promise<void>;
  /** Accepts connections and carries nothing any more, on them and on the present ones. */
  hang(): Promise<void>;
  /** Carries every piece of data `ms` milliseconds later, in both directions. */
  delay(ms: number): void;
  /** Undoes `cut`, `hang` and `delay`. Connections that were hung go on. */
  restore(): Promise<void>;
  /** Resets every connection and closes the port for good. */
  stop(): Promise<void>;
}

/** Starts a proxy to `targetPort` on 127.0.0.1. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let hung = false;
  let delayMs = 0;

  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.once("close", () => sockets.delete(socket));
  };
  const carry = (from: Socket, to: Socket) => {
    from.on("data", (piece) => {
      if (delayMs === 0) {
        to.write(piece);
        return;
      }
      from.pause();
      setTimeout(() => {
        to.write(piece);
        if (!hung) from.resume();
      }, delayMs);
    });
    from.once("end", () => to.end());
    from.once("close", () => to.destroy());
    if (hung) from.pause();
  };
  const accept = (client: Socket) => {
    // The kernel had taken it before the port was closed.
    if (!server.listening) {
      client.resetAndDestroy();
      return;
    }
    const target = connect(targetPort, "127.0.0.1");
    keep(client);
    keep(target);
    carry(client, target);
    carry(target, client);
  };

  let server = await listen(accept, 0);
  const port = portOf(server);
  const reset = () => {
    for (const socket of sockets) {
      // libuv resets no connection that is being shut down (uv_tcp_close_reset), and Node would then leave its handle open.
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
  };
  const close = async () => {
    const closed = server.listening && new Promise((resolve) => server.close(resolve));
    reset();
    await closed;
  };
  const reopen = async () => {
    if (!server.listening) server = await listen(accept, port);
  };
  return {
    port,
    cut: close,
    hang: async () => {
      hung = true;
      for (const socket of sockets) socket.pause();
      await reopen();
    },
    delay: (ms) => {
      delayMs = ms;
    },
    restore: async () => {
      hung = false;
      delayMs = 0;
      for (const socket of sockets) socket.resume();
      await reopen();
    },
    stop: close,
  };
}

async function listen(accept: (client: Socket) => void, port: number): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, accept);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The proxy has no port.");
  return address.port;
}
