/** Runs a program by its arguments, never a shell, in a process group of its own that ends whole with it or with the signal. */

import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Of util-linux: has the kernel end a program together with the process that started it. */
const setpriv = "/usr/bin/setpriv";
const keptErrorBytes = 4_096;
const umaskForOthers = 0o022;
/** How long the output of an ended program is waited for, where something that left its group holds it open. */
const outputGraceMs = 500;

export interface Program {
  readonly program: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly largestBytes: number;
  /** Written to its standard input, which then stays open: its end tells the program that Paramedic is gone. */
  readonly input?: string;
  /** How long it has to end by itself, asked by SIGTERM, before it is made to; 0 unless given. */
  readonly graceMs?: number;
  /**
   * It must not go on when Paramedic is killed: another worker may begin it anew. Where the host has no setpriv it goes
   * on all the same.
   */
  readonly mortal?: true;
  /** It writes what others must be able to read, whatever Paramedic's own umask is; its files have that one unless given. */
  readonly forOthers?: true;
  /** How its output is read; as UTF-8 unless given. */
  readonly encoding?: "latin1";
}

/** What became of it. */
export interface Ended {
  /** Why it could not be started; null where it was. */
  readonly unstarted: string | null;
  /** Its exit code; null where it was ended by a signal. */
  readonly code: number | null;
  /** The signal that ended it; null: none did. */
  readonly endedBy: string | null;
  readonly output: string;
  readonly tooLarge: boolean;
  /** The end of what it printed as errors. */
  readonly errors: string;
}

/** Runs it to its end. None of Paramedic's own environment is passed on. */
export async function runProgram(wanted: Program): Promise<Ended> {
  const { folder, signal, largestBytes, input, graceMs = 0 } = wanted;
  const env = { PATH: path, LANG: "C.UTF-8", ...wanted.env };
  const [program, args] = wanted.mortal ? await mortal(wanted, env.PATH) : [wanted.program, wanted.args];
  const child = withUmask(wanted.forOthers ? umaskForOthers : null, () =>
    spawn(program, args, {
      cwd: folder,
      env,
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      shell: false,
      detached: true,
    }),
  );
  let killer: NodeJS.Timeout | undefined;
  const kill = () => endGroup(child, "SIGKILL");
  const end = () => {
    if (graceMs === 0) return kill();
    endGroup(child, "SIGTERM");
    killer = setTimeout(kill, graceMs);
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  const output: Buffer[] = [];
  let size = 0;
  child.stdout?.on("data", (piece: Buffer) => {
    size += piece.length;
    if (size > largestBytes) kill();
    else output.push(piece);
  });
  let errors = "";
  child.stderr?.on("data", (piece: Buffer) => {
    errors = (errors + piece.toString()).slice(-keptErrorBytes);
  });
  // It may end without reading what it is told; its exit says why.
  child.stdin?.on("error", () => {});
  if (input !== undefined) child.stdin?.write(input);
  const ended = await endOf(child);
  clearTimeout(killer);
  signal.removeEventListener("abort", end);
  return { ...ended, output: Buffer.concat(output).toString(wanted.encoding), tooLarge: size > largestBytes, errors };
}

/**
 * Node cannot give a child an umask of its own, but a child has what this process has at the moment of its start. Only
 * what other threads create at that moment has it as well: whatever must stay private is created with a mode that says so.
 */
function withUmask<T>(mask: number | null, start: () => T): T {
  if (mask === null) return start();
  const before = process.umask(mask);
  try {
    return start();
  } finally {
    process.umask(before);
  }
}

/** Whether what is mortal really ends with Paramedic on this host. */
export function canBeMortal(): Promise<boolean> {
  return canBeRun(setpriv);
}

/** The program by way of setpriv. One that is not there is left as it is, so that its own name is in the error. */
async function mortal(
  { program, args, graceMs = 0 }: Program,
  folders: string,
): Promise<readonly [string, readonly string[]]> {
  const candidates = program.includes("/") ? [program] : folders.split(":").map((one) => join(one, program));
  const runnable = await Promise.all(candidates.map(canBeRun));
  const found = candidates.find((_, index) => runnable[index]);
  if (found === undefined || !(await canBeRun(setpriv))) return [program, args];
  return [setpriv, ["--pdeathsig", graceMs > 0 ? "TERM" : "KILL", "--", found, ...args]];
}

async function canBeRun(program: string): Promise<boolean> {
  return access(program, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** How a program ended. */
interface End {
  readonly unstarted: string | null;
  readonly code: number | null;
  readonly endedBy: string | null;
}

/** Waits for its end, ends what it has started, and waits for the rest of the output. */
async function endOf(child: ChildProcess): Promise<End> {
  // Listened for from the start: it may come together with the exit.
  const closed = new Promise((resolve) => child.once("close", resolve));
  const end = await new Promise<End>((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      resolve({ unstarted: error.code ?? "unknown error", code: null, endedBy: null }),
    );
    child.once("exit", (code, endedBy) => resolve({ unstarted: null, code, endedBy }));
  });
  if (end.unstarted === null) {
    endGroup(child, "SIGKILL");
    await within(closed, outputGraceMs);
  }
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  return end;
}

async function within(happening: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    happening,
    new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    }),
  ]);
  clearTimeout(timer);
}

/** The group has the program's own id, since it was started detached. */
function endGroup({ pid }: ChildProcess, by: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, by);
  } catch {
    // ESRCH: nothing of the group is left.
  }
}
