/** Runs the benchmarks, all or those named on the command line, prints one table and writes build/bench.json. */

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import globalTeardown from "../test/support/global-teardown.ts";
import { accept, acceptWithoutRedis } from "./accept.ts";
import { cancel } from "./cancel.ts";
import { clicksInSlack } from "./clicks.ts";
import { deleteKeys } from "./delete-keys.ts";
import { drain, drainWithoutRedis } from "./drain.ts";
import { footprint } from "./footprint.ts";
import { type Ground, prepareGround } from "./ground.ts";
import { latency, latencyWithoutRedis } from "./latency.ts";
import { logs } from "./logs.ts";
import { match } from "./match.ts";
import { restart } from "./restart.ts";
import type { Row } from "./row.ts";
import { scale } from "./scale.ts";
import { tableOf } from "./table.ts";
import { verdictOn } from "./verdict.ts";

const measurements: Readonly<Record<string, readonly ((ground: Ground) => Promise<readonly Row[]>)[]>> = {
  accept: [accept],
  drain: [drain],
  latency: [latency],
  clicks: [clicksInSlack],
  cancel: [cancel],
  match: [match],
  "delete-keys": [deleteKeys],
  restart: [restart],
  logs: [logs],
  scale: [scale],
  footprint: [footprint],
  "no-redis": [acceptWithoutRedis, drainWithoutRedis, latencyWithoutRedis],
};

const named = process.argv.slice(2);
const unknown = named.filter((name) => !Object.hasOwn(measurements, name));
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(", ")}; there are ${Object.keys(measurements).join(", ")}.`);
  process.exit(2);
}

process.on("exit", globalTeardown);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

const started = performance.now();
const ground = await prepareGround();
const rows: Row[] = [];
for (const name of named.length > 0 ? named : Object.keys(measurements)) {
  const begun = performance.now();
  for (const measure of measurements[name] ?? []) rows.push(...(await measure(ground)));
  console.error(`${name}: ${((performance.now() - begun) / 1_000).toFixed(0)} s`);
}
const seconds = Math.round((performance.now() - started) / 1_000);
const machine = { cores: cpus().length, model: cpus()[0]?.model ?? "unknown", node: process.version };
writeFileSync(
  "build/bench.json",
  `${JSON.stringify({ at: new Date().toISOString(), seconds, machine, rows }, null, 2)}\n`,
);
const verdict = verdictOn(rows, process.env["CI"] === "true");
console.log(tableOf(rows));
console.log(`${seconds} s on ${machine.cores} cores (${machine.model}), Node ${machine.node}; build/bench.json`);
for (const line of verdict.lines) console.log(line);
process.exit(verdict.exitCode);
