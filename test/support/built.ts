/** Compiles the program for tests that start it as a process of its own. */

import { execFile } from "node:child_process";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { runFolder } from "./run-folder.ts";
import { until } from "./until.ts";

/** Where tests, benchmarks and the demo run. */
const ROOT = resolve(".");

/** The absolute path of `dist/`, built at most once in a Jest run and only if a source file is newer than it. */
export async function builtProgram(): Promise<string> {
  const dist = join(ROOT, "dist");
  const done = join(runFolder(), "built.done");
  const first = await mkdir(join(runFolder(), "built")).then(
    () => true,
    () => false,
  );
  if (first) {
    if ((await newest(join(ROOT, "src"))) > (await oldest(dist))) await build();
    await writeFile(done, "");
  }
  await until(() => stat(done), { timeoutMs: 60_000, what: "the program to be built by another test file" });
  return dist;
}

async function build(): Promise<void> {
  const run = promisify(execFile);
  // A type error is the type check's to report; the compiler writes the program all the same.
  await run("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], { cwd: ROOT, timeout: 60_000 }).catch(
    () => undefined,
  );
  await run(process.execPath, ["scripts/copy-files.mjs"], { cwd: ROOT, timeout: 10_000 });
}

async function newest(folder: string): Promise<number> {
  return Math.max(...(await times(folder)));
}

async function oldest(folder: string): Promise<number> {
  const found = await times(folder).catch(() => []);
  return found.length === 0 ? 0 : Math.min(...found);
}

async function times(folder: string): Promise<number[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return await Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).mtimeMs));
}
