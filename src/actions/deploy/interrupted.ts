/**
 * What a `git checkout` of ours that was killed left behind: files of both versions, of which only those count as ours
 * that a forced checkout can lose nothing of, and git's lock, which only goes when it is ours and nobody works there.
 */

import { mkdtemp, readdir, readFile, readlink, realpath, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Failure } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import type { Checkout } from "./git.ts";
import type { RollbackPlan } from "./progress.ts";

/** A file's time may be some milliseconds behind the clock. */
const clockSlackMs = 1_000;
/** Files that were being written when git was killed: at most as many as it has workers. */
const mostHalfWritten = 64;

/** What is there: nothing of it, or what a forced checkout can finish. */
export interface LeftBehind {
  readonly status: "whole" | "half";
  /** Git's locks, which are ours. */
  readonly locks: readonly string[];
  /** Files that are of neither version: a person's. */
  readonly foreign: readonly string[];
}

/** Looks, and changes nothing. A Failure where git works there, or where a lock is not ours. */
export async function leftBehind(
  checkout: Checkout,
  { from, to }: RollbackPlan,
  begunAt: number,
): Promise<LeftBehind | Failure> {
  const { folder, head } = checkout;
  const pid = await gitIn(folder);
  if (pid !== null) return passing(`git (pid ${pid}) is still at work in ${folder}. Wait until it has ended.`);
  const found = await locksOf(checkout, begunAt);
  if (found.status === "failed") return found;
  const { locks } = found;
  const scratch = await mkdtemp(join(tmpdir(), "paramedic-index-"));
  try {
    const older = await unlike(checkout, from, scratch);
    if (older.status === "failed") return older;
    const newer = await unlike(checkout, to, scratch);
    if (newer.status === "failed") return newer;
    const only = await onlyInOne(checkout, from, to);
    if (only.status === "failed") return only;
    // What is gone was git's as well: it removes a file before it writes it.
    const strange = [...new Set([...older.changed, ...newer.changed])].filter(
      (path) =>
        (older.changed.has(path) || only.added.has(path)) && (newer.changed.has(path) || only.removed.has(path)),
    );
    const foreign = await notHalfWritten(checkout, to, strange);
    const here = head === to ? newer : older;
    const written = head === to ? [] : [...only.added].filter((path) => !newer.gone.has(path));
    const touched = [...here.gone, ...here.changed, ...written].some((path) => !foreign.includes(path));
    return { status: touched || locks.length > 0 ? "half" : "whole", locks, foreign };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** A process of git that works in a folder, of those that can be seen: Paramedic's own user's are. */
async function gitIn(folder: string): Promise<number | null> {
  const real = await realpath(folder).catch(() => folder);
  for (const name of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(name)) continue;
    const place = await readlink(`/proc/${name}/cwd`).catch(() => "");
    if (place !== real && !place.startsWith(`${real}/`)) continue;
    const program = await readFile(`/proc/${name}/comm`, "utf8").catch(() => "");
    if (program.trim() === "git") return Number(name);
  }
  return null;
}

/** The locks that our git left. A Failure where one is somebody else's. */
async function locksOf({ gitFolder }: Checkout, begunAt: number) {
  const locks: string[] = [];
  for (const path of ["index.lock", "HEAD.lock"].map((name) => join(gitFolder, name))) {
    const found = await stat(path).catch(() => null);
    if (found === null) continue;
    if (found.uid !== process.getuid?.() || found.mtimeMs < begunAt - clockSlackMs) {
      return lasting(`${path} is none that Paramedic left. Find out who made it, and remove it if nobody works there.`);
    }
    locks.push(path);
  }
  return { status: "found" as const, locks };
}

interface Unlike {
  readonly status: "compared";
  /** Files that are not as in the commit, and such as are not there. */
  readonly changed: ReadonlySet<string>;
  readonly gone: ReadonlySet<string>;
}

/** How the files of a commit differ from what is in the folder, by an index of its own: git's is that of one of the two. */
async function unlike({ gitWith }: Checkout, commit: string, scratch: string): Promise<Unlike | Failure> {
  const env = { GIT_INDEX_FILE: join(scratch, commit) };
  const read = await gitWith({ env }, "read-tree", commit);
  if (read.status === "failed") return read;
  const found = await gitWith({ env }, "diff", "--name-status", "--no-renames", "--ignore-submodules=none", "-z");
  if (found.status === "failed") return found;
  const gone = pathsOf(found.text, "D");
  const changed = new Set([...pathsOf(found.text)].filter((path) => !gone.has(path)));
  return { status: "compared", changed, gone };
}

async function onlyInOne({ git }: Checkout, from: string, to: string) {
  const found = await git("diff", "--name-status", "--no-renames", "-z", from, to);
  if (found.status === "failed") return found;
  return { status: "compared" as const, added: pathsOf(found.text, "A"), removed: pathsOf(found.text, "D") };
}

/** The paths of `--name-status -z`, of one kind or of all. */
function pathsOf(text: string, kind?: string): ReadonlySet<string> {
  const words = text.split("\0");
  return new Set(words.filter((_, index) => index % 2 === 1 && (kind === undefined || words[index - 1] === kind)));
}

/** Those files that are not the beginning of what git would have written. */
async function notHalfWritten(
  { gitWith, folder }: Checkout,
  commit: string,
  paths: readonly string[],
): Promise<readonly string[]> {
  if (paths.length > mostHalfWritten) return paths;
  const foreign: string[] = [];
  for (const path of paths) {
    const meant = await gitWith({ encoding: "latin1" }, "cat-file", "--filters", `${commit}:${path}`);
    const found = await readFile(join(folder, path), "latin1").catch(() => null);
    if (meant.status === "failed" || found === null || !meant.text.startsWith(found)) foreign.push(path);
  }
  return foreign;
}
