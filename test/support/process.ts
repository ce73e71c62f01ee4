/** Starts programs for tests, keeps their output, and knows every one that still lives so that none is left behind. */

import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runFolder } from "./run-folder.ts";
import { until } from "./until.ts";

/** What a process left with: an exit code or the signal that ended it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A started program. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** Resolves when the process has ended and its output is complete. */
  readonly exited: Promise<Exit>;
  /** Everything that it has written so far, standard output and standard error in the order of arrival. */
  output(): string;
  /** The lines of `output()` that are JSON objects, as the program's own log is. */
  logLines(): readonly Record<string, unknown>[];
  /** Waits until the output matches; fails at once when the process ends without it. */
  waitForOutput(pattern: RegExp | string, timeoutMs?: number): Promise<string>;
  /** Sends `signal` (SIGTERM) and waits for the end; after `timeoutMs` (10 seconds) the whole tree is killed. */
  stop(signal?: NodeJS.Signals, timeoutMs?: number): Promise<Exit>;
  /** Sends SIGKILL to the process and to everything it started. */
  kill(): Promise<Exit>;
}

const PROCESSES = "processes";

/** Where a test file's environment finds what the file has started; see environment.ts. */
export const CHILDREN = Symbol.for("paramedic.children");

const living = new Set<Child>();
Object.defineProperty(globalThis, CHILDREN, { value: living, configurable: true });

/** The programs that this test file started and that have not ended. */
export function livingChildren(): readonly Child[] {
  return [...living];
}

/** What can be said about a program beyond Node's own options. */
export interface ChildOptions extends SpawnOptions {
  /** Its name in messages; the command's unless given. */
  readonly name?: string;
  /** Whether it serves the whole Jest run and outlives this test file; the global teardown ends it. */
  readonly shared?: boolean;
}

/** Starts `command`. Fails when it cannot be started. */
export async function startChild(
  command: string,
  args: readonly string[],
  { name = command, shared = false, ...options }: ChildOptions = {},
): Promise<Child> {
  const started = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  await new Promise<void>((resolve, reject) => {
    started.once("spawn", resolve);
    started.once("error", (error) => reject(new Error(`${name} cannot be started: ${error.message}`)));
  });
  const child = childOf(name, started);
  remember(child.pid);
  if (shared) {
    started.unref();
    return child;
  }
  living.add(child);
  child.exited.then(() => {
    living.delete(child);
    forget(child.pid);
  });
  return child;
}

/** Starts a Node program of this project, as in `startNode("dist/cli.js", ["serve"])`. */
export async function startNode(
  script: string,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<Child> {
  return await startChild(process.execPath, [script, ...args], { name: `node ${script}`, ...options });
}

/** Kills `pid` and all its descendants with SIGKILL. A process that is already gone is no error. */
export function killTree(pid: number): void {
  for (const one of [pid, ...descendants(pid)]) signal(one, "SIGKILL");
}

/** Whether a process with this id exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X";
}

/** The ids of all processes below `pid`, nearest first. Linux only: read from /proc. */
export function descendants(pid: number): readonly number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    const stat = /^\d+$/.test(entry) ? statOf(Number(entry)) : undefined;
    if (stat !== undefined) parents.set(Number(entry), stat.parent);
  }
  const found: number[] = [];
  for (let generation = [pid]; generation.length > 0; ) {
    generation = [...parents].filter(([, parent]) => generation.includes(parent)).map(([child]) => child);
    found.push(...generation);
  }
  return found;
}

function childOf(name: string, started: ChildProcess): Child {
  const pid = started.pid as number;
  let text = "";
  const collect = (chunk: Buffer | string) => {
    text += chunk.toString();
  };
  started.stdout?.on("data", collect);
  started.stderr?.on("data", collect);
  let ended: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    started.once("close", (code, endedBy) => {
      ended = { code, signal: endedBy };
      resolve(ended);
    });
  });
  const child: Child = {
    name,
    pid,
    process: started,
    exited,
    output: () => text,
    logLines: () => text.split("\n").flatMap(jsonObject),
    waitForOutput: async (pattern, timeoutMs = 20_000) => {
      const matches = () => (typeof pattern === "string" ? text.includes(pattern) : pattern.test(text));
      await until(() => matches() || ended !== undefined, {
        timeoutMs,
        what: () => `${name} to print ${pattern} (it printed: ${text})`,
      });
      if (!matches())
        throw new Error(`${name} ended with ${JSON.stringify(ended)} before it printed ${pattern}:\n${text}`);
      return text;
    },
    stop: async (by = "SIGTERM", timeoutMs = 10_000) => {
      signal(pid, by);
      const timer = setTimeout(() => killTree(pid), timeoutMs);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
    kill: async () => {
      if (ended === undefined) killTree(pid);
      return await exited;
    },
  };
  return child;
}

function jsonObject(line: string): Record<string, unknown>[] {
  if (!line.startsWith("{")) return [];
  try {
    return [JSON.parse(line)];
  } catch {
    return [];
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function statOf(pid: number): { state: string; parent: number; startedAt: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may contain anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", parent: Number(fields[1]), startedAt: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}

function remember(pid: number): void {
  mkdirSync(join(runFolder(), PROCESSES), { recursive: true });
  writeFileSync(join(runFolder(), PROCESSES, String(pid)), statOf(pid)?.startedAt ?? "");
}

function forget(pid: number): void {
  rmSync(join(runFolder(), PROCESSES, String(pid)), { force: true });
}

/**
 * Kills every process that `folder`'s run started, or that has its files in there, and still lives: a server may have
 * been started by a program that was itself under test.
 */
export function killRemembered(folder: string): void {
  for (const pid of [...remembered(folder), ...readdirSync("/proc").filter((entry) => servesFolder(entry, folder))]) {
    killTree(Number(pid));
  }
}

function remembered(folder: string): readonly string[] {
  const processes = join(folder, PROCESSES);
  if (!existsSync(processes)) return [];
  // The id may have passed on to somebody else's process; its start time tells.
  return readdirSync(processes).filter(
    (pid) => isAlive(Number(pid)) && statOf(Number(pid))?.startedAt === readFileSync(join(processes, pid), "utf8"),
  );
}

function servesFolder(entry: string, folder: string): boolean {
  if (!/^\d+$/.test(entry) || Number(entry) === process.pid) return false;
  try {
    return readFileSync(`/proc/${entry}/cmdline`, "utf8")
      .split("\0")
      .some((part) => part.startsWith(`${folder}/`));
  } catch {
    return false;
  }
}
