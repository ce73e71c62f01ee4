/** A git checkout with two versions in a folder of its own, for tests of what acts upon it. */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export interface Repository {
  readonly folder: string;
  git(...args: readonly string[]): Promise<string>;
  /** Writes files and commits all that there is; a tag where one is given. Returns the commit. */
  commit(subject: string, files: Readonly<Record<string, string>>, tag?: string): Promise<string>;
}

/** Makes a repository of a folder, a new one where none is given. */
export async function createRepository(given?: string): Promise<Repository> {
  const folder = given ?? (await mkdtemp(join(tmpdir(), "paramedic-deploy-")));
  await mkdir(folder, { recursive: true });
  const env = { PATH: "/usr/bin:/bin", HOME: "/nonexistent", GIT_CONFIG_NOSYSTEM: "1" };
  const identity = ["-c", "user.name=Tests", "-c", "user.email=tests@example.net", "-c", "commit.gpgsign=false"];
  const git: Repository["git"] = async (...args) => {
    const { stdout } = await promisify(execFile)("git", [...identity, ...args], { cwd: folder, env });
    return stdout.trim();
  };
  await git("init", "--quiet", "--initial-branch=main");
  return {
    folder,
    git,
    commit: async (subject, files, tag) => {
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      await git("add", "--all");
      await git("commit", "--quiet", "--allow-empty", "--message", subject);
      if (tag !== undefined) await git("tag", tag);
      return git("rev-parse", "HEAD");
    },
  };
}
