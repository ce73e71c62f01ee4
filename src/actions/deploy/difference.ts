/** What lies between a tag and what is checked out: which tag it is, the commits, the migrations, the files that name dependencies. */

import type { Failure } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import { matchesGlob } from "../glob.ts";
import { type Checkout, isCommit } from "./git.ts";
import { changedRequirements } from "./requirements.ts";

const shownCommits = 10;
const dependencyFile =
  /^(.*\/)?(requirements[^/]*\.(txt|in)|requirements\/[^/]+\.(txt|in)|constraints[^/]*\.txt|pyproject\.toml|setup\.(py|cfg)|Pipfile(\.lock)?|poetry\.lock|uv\.lock)$/;
/** Of these, those that list one requirement on each line. */
const requirementsFile = /\.(txt|in)$/;
const readFiles = 5;
const nothing = { status: "printed", text: "" } as const;
const migrationFile = /^(?:.*\/)?([A-Za-z_]\w*)\/migrations\/(\w+)\.py$/;

export interface Version {
  readonly status: "found";
  readonly tag: string;
  readonly commit: string;
}

/** The newest version before what is checked out, or `wanted`, which must be one. */
export async function versionBefore(
  checkout: Checkout,
  pattern: string,
  wanted: string | undefined,
): Promise<Version | Failure> {
  const { git, head, folder } = checkout;
  // Only tags of commits that what is checked out was made from: anything else would be no way back.
  const listed = await git("for-each-ref", `--merged=${head}`, "--format=%(refname:strip=2)", "refs/tags");
  if (listed.status === "failed") return listed;
  const tags = listed.text.split("\n").filter((tag) => tag !== "" && matchesGlob(pattern, tag));
  const named = wanted === undefined ? await nearest(checkout, pattern) : { status: "printed" as const, text: wanted };
  if (named.status === "failed") return named;
  const tag = named.text.trim();
  if (!tags.includes(tag)) {
    // What was asked for may be hostile text: it is not repeated.
    const what = wanted === undefined ? "There is no tag" : "The tag that was asked for is none";
    return lasting(`${what} like ${pattern} before what is checked out in ${folder} (${head.slice(0, 10)}).`);
  }
  const commit = await git("rev-parse", "--verify", "--quiet", `refs/tags/${tag}^{commit}`);
  if (commit.status === "failed") return commit;
  const found = commit.text.trim();
  if (!isCommit(found)) return lasting(`The tag ${tag} in ${folder} is that of no commit.`);
  if (found === head) return lasting(`${folder} is at ${tag} already.`);
  return { status: "found", tag, commit: found };
}

/** The name of the nearest tag before what is checked out; empty where there is none. */
async function nearest({ git, head }: Checkout, pattern: string) {
  const parents = await git("rev-list", "--parents", "--max-count=1", head);
  if (parents.status === "failed" || parents.text.trim().split(" ").length < 2) return { ...parents, text: "" };
  const found = await git("describe", "--tags", "--abbrev=0", `--match=${pattern}`, `${head}^`);
  return found.status === "failed" && /No (names|tags)/i.test(found.reason)
    ? { status: "printed" as const, text: "" }
    : found;
}

export interface Difference {
  readonly status: "compared";
  readonly commits: number;
  /** The newest, as `1a2b3c4 what it does`. */
  readonly newest: readonly string[];
  /** Apps with migrations that the tag does not have, and the last migration that it has; null: it has none of the app. */
  readonly apps: readonly { readonly app: string; readonly to: string | null }[];
  /** Files that name dependencies and differ. */
  readonly dependencies: readonly string[];
  /** What of them is asked for otherwise, as `requirements.txt: a==2 → a==1`, where that can be read. */
  readonly requirements: readonly string[];
}

export async function differenceTo(
  { git, head, folder }: Checkout,
  { tag, commit }: Version,
): Promise<Difference | Failure> {
  const log = await git("log", "--format=%h %s", `${commit}..${head}`);
  if (log.status === "failed") return log;
  const changed = await git("diff", "--name-status", "--no-renames", "-z", commit, head);
  if (changed.status === "failed") return changed;
  const words = changed.text.split("\0");
  const files = words.flatMap((path, index) => (index % 2 === 1 ? [{ kind: words[index - 1], path }] : []));
  if (files.some(({ path }) => path === ".gitmodules")) {
    return lasting(`Submodules of ${folder} changed since ${tag}. Roll back by hand.`);
  }
  const apps = new Map<string, string>();
  for (const { kind, path } of files) {
    const [, app, name] = migrationFile.exec(path) ?? [];
    if (app === undefined || name === "__init__") continue;
    if (kind !== "A") {
      return lasting(
        `The migration ${path} was ${kind === "D" ? "removed" : "changed"} since ${tag}. Roll back by hand.`,
      );
    }
    apps.set(app, path.slice(0, path.lastIndexOf("/")));
  }
  const commits = log.text.split("\n").filter((line) => line !== "");
  const found: { app: string; to: string | null }[] = [];
  for (const [app, migrations] of [...apps].sort()) {
    const listed = await git("ls-tree", "--name-only", "-z", commit, `${migrations}/`);
    if (listed.status === "failed") return listed;
    const names = listed.text.split("\0").flatMap((path) => migrationFile.exec(path)?.[2] ?? []);
    found.push({
      app,
      to:
        names
          .filter((name) => name !== "__init__")
          .sort()
          .at(-1) ?? null,
    });
  }
  const dependencies = files.filter(({ path }) => dependencyFile.test(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
  const requirements: string[] = [];
  for (const { kind, path } of dependencies.filter((one) => requirementsFile.test(one.path)).slice(0, readFiles)) {
    const now = kind === "D" ? nothing : await git("show", `${head}:${path}`);
    if (now.status === "failed") return now;
    const then = kind === "A" ? nothing : await git("show", `${commit}:${path}`);
    if (then.status === "failed") return then;
    requirements.push(...changedRequirements(now.text, then.text).map((line) => `${path}: ${line}`));
  }
  return {
    status: "compared",
    commits: commits.length,
    newest: commits.slice(0, shownCommits),
    apps: found,
    dependencies: dependencies.map(({ path }) => path),
    requirements,
  };
}
