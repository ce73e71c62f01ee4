/** Real Redis servers for tests: Debian's redis-server, in a temporary folder, without persistence unless asked for. */

import { connect } from "node:net";
import { realService } from "./real-service.ts";
import { temporaryFolder } from "./run-folder.ts";
import { startServer, type TestServer } from "./server.ts";

export const redisService = realService("Redis (Debian: redis-server)", "redis-server");

export interface TestRedis extends TestServer {
  readonly url: string;
}

/** Further arguments, as in `["--appendonly", "yes", "--appendfsync", "always"]`, and a port if it must be a certain one. */
export interface RedisOptions {
  readonly args?: readonly string[];
  readonly port?: number;
}

/** Starts a Redis on 127.0.0.1. */
export async function startRedis({ args = [], port }: RedisOptions = {}): Promise<TestRedis> {
  const folder = await temporaryFolder("redis");
  const server = await startServer({
    command: "redis-server",
    args: (chosen) => ["--bind", "127.0.0.1", "--port", String(chosen), "--dir", folder, "--save", "", ...args],
    cwd: folder,
    ready: ping,
    port,
  });
  return Object.defineProperty(server as TestRedis, "url", { value: `redis://127.0.0.1:${server.port}` });
}

async function ping(port: number): Promise<boolean> {
  return await new Promise<boolean>((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    socket.setTimeout(1_000, () => socket.destroy(new Error("Redis did not answer within a second.")));
    socket.once("data", (answer) => {
      socket.destroy();
      resolve(answer.toString() === "+PONG\r\n");
    });
    socket.once("error", reject);
  });
}
