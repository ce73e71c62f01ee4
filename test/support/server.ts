/** Starts a server program on a port of its own and can stop, kill and start it again there. */

import { freePort } from "./free-port.ts";
import { type Child, startChild } from "./process.ts";
import { until } from "./until.ts";

/** A real server under a test's control. */
export interface TestServer {
  readonly port: number;
  /** Another one after `start`. */
  readonly pid: number;
  /** What the present process has printed. */
  output(): string;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
  /** Starts it again with the same data on the same port. */
  start(): Promise<void>;
}

/** How to start a server and how to see that it is ready. */
export interface ServerOptions {
  readonly command: string;
  readonly args: (port: number) => readonly string[];
  readonly cwd: string;
  /** Its whole environment; the tests' own where left out. */
  readonly env?: NodeJS.ProcessEnv;
  /** Resolves to something truthy once the server answers on the port. */
  readonly ready: (port: number) => Promise<unknown>;
  readonly port?: number | undefined;
}

/** Starts the server and waits until it is ready, at most 30 seconds. */
export async function startServer({
  command,
  args,
  cwd,
  env,
  ready,
  port: wanted,
}: ServerOptions): Promise<TestServer> {
  const launch = async (port: number) => {
    const child = await startChild(command, args(port), { cwd, ...(env && { env }) });
    let ended = false;
    child.exited.then(() => {
      ended = true;
    });
    await until(() => ended || ready(port), {
      timeoutMs: 30_000,
      what: () => `${command} to answer (${child.output()})`,
    });
    if (ended) throw new Error(`${command} ended at its start: ${child.output()}`);
    return child;
  };
  let { child, port } = await onFreePort(launch, wanted);
  return {
    port,
    get pid() {
      return child.pid;
    },
    output: () => child.output(),
    stop: async () => {
      await child.stop();
    },
    kill: async () => {
      await child.kill();
    },
    start: async () => {
      await child.exited;
      child = await launch(port);
    },
  };
}

async function onFreePort(
  launch: (port: number) => Promise<Child>,
  wanted: number | undefined,
): Promise<{ child: Child; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = wanted ?? (await freePort());
    try {
      return { child: await launch(port), port };
    } catch (error) {
      if (wanted !== undefined || attempt === 3 || !/address already in use/i.test(String(error))) throw error;
    }
  }
}
