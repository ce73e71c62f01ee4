/** The real service as a process of its own, and its REST API as an engineer's script would use it. */

import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";

/** The program itself. */
export const program = resolve(import.meta.dirname, "../../dist/cli.js");
const usualPort = 9095;
const startWithinMs = 60_000;

/** Starts `paramedic serve` with `folder/paramedic.yaml` and this environment and nothing else; waits until it is up. */
export async function startParamedic(folder, environment) {
  const logFile = join(folder, "service.log");
  const child = start(process.execPath, [program, "serve", "--config", join(folder, "paramedic.yaml")], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", PARAMEDIC_LISTEN: await listenAddress(), ...environment },
  });
  const log = createWriteStream(logFile);
  child.process.stderr.pipe(log, { end: false });
  const tail = [];
  const up = new Promise((done, failed) => {
    const lines = createInterface(child.process.stdout);
    lines.on("line", (line) => {
      log.write(`${line}\n`);
      tail.push(line);
      if (tail.length > 5) tail.shift();
      if (line.includes('"Paramedic is up"')) done(JSON.parse(line).url);
    });
    const problem = (what) => new Error(`Paramedic ${what}. Its last words:\n${tail.join("\n")}`);
    child.ended.then(() => failed(problem("ended at its start")));
    setTimeout(() => failed(problem(`was not up within ${startWithinMs / 1_000} s`)), startWithinMs).unref();
  });
  try {
    return { url: await up, logFile, stop: child.stop };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** Starts a program in a group of its own: Ctrl-C reaches only the demo, which then ends everything in order. */
export function start(command, args, options) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, ...options });
  const ended = new Promise((done) => {
    child.once("error", done);
    child.once("exit", done);
  });
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  return {
    process: child,
    ended,
    stop: async () => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 35_000);
      await ended;
      clearTimeout(timer);
      process.off("exit", end);
    },
  };
}

/** GETs JSON from the API. */
export async function get(url, token, path) {
  const response = await fetch(url + path, { headers: bearer(token), signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`GET ${path} answered ${response.status}: ${await response.text()}`);
  return await response.json();
}

/** Waits for the first run there is and returns its id. */
export async function firstRun(url, token, withinMs) {
  for (const deadline = Date.now() + withinMs; Date.now() < deadline; await pause(100)) {
    const { runs } = await get(url, token, "/api/v1/runs?limit=1");
    if (runs[0]) return runs[0].id;
  }
  throw new Error(`The alert started no run within ${withinMs / 1_000} s.`);
}

/** Yields the events of a run as the server sends them, until the run has ended. */
export async function* follow(url, token, run, withinMs) {
  const response = await fetch(`${url}/api/v1/runs/${run}/events`, {
    headers: bearer(token),
    signal: AbortSignal.timeout(withinMs),
  });
  if (!response.ok) throw new Error(`The events of the run cannot be read: ${await response.text()}`);
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const messages = (text + chunk).split("\n\n");
    text = messages.pop();
    for (const message of messages) {
      const data = message.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice("data: ".length));
    }
  }
}

export function bearer(token) {
  return { authorization: `Bearer ${token}` };
}

/** A port of 127.0.0.1 that nobody uses; `wanted` if that is one. */
export async function freePort(wanted = 0) {
  const server = createServer();
  const listening = await new Promise((done) => {
    server.once("error", () => done(false));
    server.listen(wanted, "127.0.0.1", () => done(true));
  });
  if (!listening) return await freePort();
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

export function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

async function listenAddress() {
  return `127.0.0.1:${await freePort(usualPort)}`;
}
