/** Starts Paramedic's own processes for the benchmarks: the receiver as it ships, the worker with actions that do nothing. */

import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, startNode } from "../test/support/process.ts";
import { temporaryFolder } from "../test/support/run-folder.ts";
import { until } from "../test/support/until.ts";
import { configurationWith, type Ground } from "./ground.ts";
import type { worker } from "./process/worker.ts";
import { type Partner, startPartner } from "./talk.ts";

export interface Place {
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
}

export interface Receiver {
  readonly child: Child;
  readonly url: string;
  /** From the start of the process until it was ready. */
  readonly readyMs: number;
}

const program = fileURLToPath(new URL("../src/cli.js", import.meta.url));

/** `paramedic serve` as it ships, once it says that it is ready. Its log goes to a file. */
export async function startReceiver(ground: Ground, place: Place): Promise<Receiver> {
  return await startProgram(ground, place, { role: "receiver", configFile: ground.configFile });
}

/** The program in this role. */
export async function startProgram(
  ground: Ground,
  place: { readonly databaseUrl: string | null; readonly redisUrl: string | null },
  options: { readonly role: string; readonly configFile: string },
): Promise<Receiver> {
  const { url, variables } = await ground.environment(place);
  const log = join(await temporaryFolder("bench"), `${options.role}.log`);
  const output = openSync(log, "a");
  const started = performance.now();
  const child = await startNode(program, ["serve", "--role", options.role, "--config", options.configFile], {
    stdio: ["ignore", output, output],
    env: { ...process.env, ...variables },
  });
  const ready = async () => (await fetch(`${url}/readyz`)).ok;
  await Promise.race([
    until(ready, { timeoutMs: 60_000, everyMs: 5, what: "readiness" }),
    child.exited.then(() => Promise.reject(new Error(`the program ended: ${readFileSync(log, "utf8")}`))),
  ]);
  return { child, url, readyMs: performance.now() - started };
}

/** A worker at this concurrency. */
export async function startWorker(ground: Ground, place: Place, concurrency: number): Promise<Partner<typeof worker>> {
  const { variables } = await ground.environment(place);
  return await startPartner<typeof worker>("worker", {
    ...variables,
    CONFIG_FILE: await configurationWith(ground, `worker: { concurrency: ${concurrency} }`),
  });
}
