/** Turns the YAML of playbooks into playbooks that can run, or into every problem that is in it, with file and line. */

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Playbook } from "../domain/playbook.ts";
import type { LoadedCheck, LoadedStep } from "./compile-step.ts";
import type { Matcher } from "./matcher.ts";
import type { LoadedNotify } from "./read-people.ts";
import { type PlaybookProblem, type PlaybookWorld, readPlaybook } from "./read-playbook.ts";
import type { Occurrences } from "./schedule.ts";

/** A playbook with everything that is needed to run it, compiled. */
export interface LoadedPlaybook {
  readonly playbook: Playbook;
  /** Null: alerts do not start it. */
  readonly matchers: readonly Matcher[] | null;
  /** Null: it has no schedule. */
  readonly occurrences: Occurrences | null;
  readonly steps: ReadonlyMap<string, LoadedStep>;
  /** In the order of `playbook.verify`. */
  readonly checks: readonly LoadedCheck[];
  /** In the order of `playbook.notify`. */
  readonly notify: readonly LoadedNotify[];
}

/** What is wrong in a file. */
export interface Problem extends PlaybookProblem {
  readonly file: string;
}

export interface PlaybookFile {
  /** As it is to be shown to people. */
  readonly file: string;
  readonly text: string;
}

export interface LoadedPlaybooks {
  /** Those without an error, in the order of the files. */
  readonly playbooks: readonly LoadedPlaybook[];
  /** By file, in the order of the files, then by line. */
  readonly problems: readonly Problem[];
}

/** Loads all files. One bad file costs only itself; every problem of every file is reported at once. */
export function loadPlaybooks(files: readonly PlaybookFile[], world: PlaybookWorld): LoadedPlaybooks {
  const playbooks: LoadedPlaybook[] = [];
  const problems: Problem[] = [];
  const firstUse = new Map<string, string>();
  for (const { file, text } of files) {
    const read = readPlaybook(text, world);
    const found: PlaybookProblem[] = [...read.problems];
    const { name } = read;
    const earlier = name === null ? undefined : firstUse.get(name.text);
    if (name !== null && earlier !== undefined) {
      const message = `a playbook named '${name.text}' is already in ${earlier}; names are unique`;
      found.push({ line: name.line, message, severity: "error" });
    }
    if (name !== null && earlier === undefined) firstUse.set(name.text, `${file}:${name.line}`);
    problems.push(...found.sort((a, b) => a.line - b.line).map((problem) => ({ file, ...problem })));
    if (read.loaded !== null && earlier === undefined) {
      playbooks.push({ playbook: playbookOf(read.loaded.playbook, text), ...read.loaded.compiled });
    }
  }
  return { playbooks, problems };
}

export type CompiledPlaybook =
  | { readonly ok: true; readonly loaded: LoadedPlaybook; readonly problems: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Compiles one text, such as the one that a run has kept since it started. */
export function compilePlaybook(text: string, world: PlaybookWorld, file = "playbook"): CompiledPlaybook {
  const { playbooks, problems } = loadPlaybooks([{ file, text }], world);
  const [loaded] = playbooks;
  return loaded === undefined ? { ok: false, problems } : { ok: true, loaded, problems };
}

/** The name under which a text's hash is kept: `sha256:` and 64 hexadecimal digits. */
export function hashOfPlaybook(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

function playbookOf(read: Omit<Playbook, "hash" | "source">, text: string): Playbook {
  return { ...read, hash: hashOfPlaybook(text), source: text };
}

export interface PlaybookFolder {
  readonly files: readonly PlaybookFile[];
  readonly problems: readonly Problem[];
}

/**
 * Reads every `*.yaml` of the folder, in the order of their names. A folder or file that cannot be read is a problem;
 * a file that only looks like a playbook, such as `*.yml`, is a warning.
 */
export async function readPlaybookFolder(folder: string): Promise<PlaybookFolder> {
  let all: readonly string[];
  try {
    all = (await readdir(folder)).filter((name) => !name.startsWith(".")).sort();
  } catch (error) {
    const message = `the folder of playbooks cannot be read (${codeOf(error)}); create it or change playbooks: in the configuration`;
    return { files: [], problems: [{ file: folder, line: 1, message, severity: "error" }] };
  }
  const files: PlaybookFile[] = [];
  const problems: Problem[] = [];
  const names = all.filter((name) => name.endsWith(".yaml"));
  for (const name of all.filter((one) => /\.ya?ml$/i.test(one) && !names.includes(one))) {
    const message = "the file is not read: the names of playbooks end with .yaml; rename it, or move it elsewhere";
    problems.push({ file: join(folder, name), line: 1, message, severity: "warning" });
  }
  for (const name of names) {
    const file = join(folder, name);
    try {
      files.push({ file, text: await readFile(file, "utf8") });
    } catch (error) {
      problems.push({ file, line: 1, message: `the file cannot be read (${codeOf(error)})`, severity: "error" });
    }
  }
  if (names.length === 0) {
    problems.push({ file: folder, line: 1, message: "the folder holds no *.yaml file", severity: "warning" });
  }
  return { files, problems };
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
