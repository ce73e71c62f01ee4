/** Asks git about a target's checkout and has it check out a commit, without its hooks and without ever typing a name that came from outside. */

import { realpath } from "node:fs/promises";
import type { ActionContext, Failure } from "../../domain/action.ts";
import type { DeployTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { type Program, runProgram } from "../program.ts";
import { redact } from "../redact.ts";

const largestBytes = 16 * 1024 * 1024;
/** Between being asked to end, upon which git takes its lock away, and being made to; less than a step is waited for. */
const checkOutGraceMs = 1_000;
/** What the repository's own configuration could have git run, and what would write while only looking. */
const quiet = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false"];

/** A checkout as it is. */
export interface Checkout {
  readonly status: "open";
  readonly folder: string;
  /** Git's own folder of it. */
  readonly gitFolder: string;
  /** The commit that is checked out. */
  readonly head: string;
  /** The branch; null where a commit is checked out as such. */
  readonly branch: string | null;
  /** What git prints; a Failure where it ends badly. */
  git(...args: readonly string[]): Promise<Printed | Failure>;
  gitWith(more: GitOptions, ...args: readonly string[]): Promise<Printed | Failure>;
  /**
   * Checks a commit out. It ends with the signal and with Paramedic, and so may leave files of both (interrupted.ts): one
   * that went on would meet the next one. `force`: what is there is known to be of one or the other.
   */
  checkOut(commit: string, force: boolean): Promise<Printed | Failure>;
}

export type GitOptions = Pick<Program, "env" | "encoding" | "mortal" | "forOthers" | "graceMs">;

export interface Printed {
  readonly status: "printed";
  readonly text: string;
}

/** The deploy of the context's target, or what has to be configured. */
export function deployOf({ target }: ActionContext): DeployTarget | Failure {
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  if (target.deploy) return target.deploy;
  return lasting(`The target ${target.name} has no deploy: in paramedic.yaml. Add its checkout and its tags.`);
}

/** Looks at the checkout. One that is not there, or that git refuses, is a Failure. */
export async function openCheckout(folder: string, signal: AbortSignal): Promise<Checkout | Failure> {
  if (signal.aborted) return passing(`Stopped before ${folder} was looked at.`);
  const real = await realpath(folder).catch(() => null);
  if (real === null)
    return lasting(`There is no folder ${folder} here. Correct deploy.checkout, or give the target its host.`);
  const gitWith: Checkout["gitWith"] = (more, ...args) => runGit(folder, args, signal, more);
  const git: Checkout["git"] = (...args) => gitWith({}, ...args);
  const checkOut: Checkout["checkOut"] = (commit, force) => {
    const how = { mortal: true, forOthers: true, graceMs: checkOutGraceMs } as const;
    return gitWith(how, "checkout", "--quiet", ...(force ? ["--force"] : []), "--detach", commit);
  };
  const found = await git("rev-parse", "--show-toplevel", "--absolute-git-dir", "HEAD");
  if (found.status === "failed") return found;
  const [top, gitFolder, head] = found.text.trimEnd().split("\n");
  if (top !== real || gitFolder === undefined || !isCommit(head)) {
    return lasting(`${folder} is no checkout of git, only inside of one. Correct deploy.checkout.`);
  }
  const branch = await git("for-each-ref", "--points-at=HEAD", "--format=%(HEAD)%(refname:short)", "refs/heads");
  if (branch.status === "failed") return branch;
  const current = branch.text.split("\n").find((line) => line.startsWith("*"));
  return { status: "open", folder, gitFolder, head, branch: current?.slice(1) ?? null, git, gitWith, checkOut };
}

/** Whether a text is the whole name of a commit. */
export function isCommit(text: string | undefined): text is string {
  return text !== undefined && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(text);
}

/** The Failure where files that git keeps were changed by hand. */
export async function dirtiness({ git, folder }: Checkout): Promise<Failure | null> {
  const status = await git("status", "--porcelain=v1", "--untracked-files=no", "--ignore-submodules=none");
  if (status.status === "failed") return status;
  const lines = status.text.split("\n").filter((line) => line !== "");
  if (lines.length === 0) return null;
  const some = lines.slice(0, 3).map((line) => line.slice(3).replace(/[\p{C}]/gu, "?"));
  return lasting(
    `${folder} has ${lines.length} files that were changed by hand, such as ${some.join(", ")}. ` +
      "Commit them or put them back; they would be lost or get in the way.",
  );
}

async function runGit(
  folder: string,
  args: readonly string[],
  signal: AbortSignal,
  more: GitOptions,
): Promise<Printed | Failure> {
  const env = { GIT_OPTIONAL_LOCKS: "0", GIT_TERMINAL_PROMPT: "0", GIT_PAGER: "cat", LC_ALL: "C", ...more.env };
  const ended = await runProgram({
    program: "git",
    args: [...quiet, ...args],
    folder,
    signal,
    largestBytes,
    ...more,
    env,
  });
  if (signal.aborted) return passing(`Stopped while git worked in ${folder}.`);
  if (ended.unstarted) return lasting(`git cannot be started (${ended.unstarted}). Install it on this host.`);
  if (ended.tooLarge) return lasting(`git ${args[0]} printed more than ${largestBytes / 1_048_576} MiB in ${folder}.`);
  if (ended.code === 0) return { status: "printed", text: ended.output };
  const how = ended.endedBy ? `was ended by ${ended.endedBy}` : "failed";
  return lasting(`git ${args[0]} ${how} in ${folder}: ${lineOf(ended.errors)}`);
}

/** The line that says what went wrong, for people. */
export function lineOf(errors: string): string {
  const lines = errors.split("\n").filter((line) => line.trim() !== "");
  const telling = lines.find((line) => /^(fatal|error):/i.test(line)) ?? lines.at(-1) ?? "it said nothing";
  return redact(telling)
    .replace(/[\p{C}]/gu, " ")
    .slice(0, 300);
}
