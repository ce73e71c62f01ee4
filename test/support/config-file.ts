/** Configuration files for tests: written into a folder of their own, loaded, removed with it. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";

/** Enough environment for `minimal`. */
export const minimalEnv = { ALERTMANAGER_TOKEN: "a-long-random-token-1" };

/** The smallest configuration that starts. */
export const minimal = "alertmanager: { tokens: [{ env: ALERTMANAGER_TOKEN }] }\n";

export interface ConfigFolder {
  readonly folder: string;
  write(name: string, text: string): string;
  /** Loads `text` as paramedic.yaml, with the environment of `minimal` and `env`. */
  load(text: string, env?: Readonly<Record<string, string | undefined>>): ReturnType<typeof loadConfig>;
  /** Like `load`; throws with the problems where there are some. */
  config(text: string, env?: Readonly<Record<string, string | undefined>>): Config;
  /** Like `load`; the problems as `line: message`, none where it loads. */
  problems(text: string, env?: Readonly<Record<string, string | undefined>>): readonly string[];
  remove(): void;
}

export function createConfigFolder(): ConfigFolder {
  const folder = mkdtempSync(join(tmpdir(), "paramedic-config-"));

  function write(name: string, text: string): string {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  function load(text: string, env: Readonly<Record<string, string | undefined>> = {}): ReturnType<typeof loadConfig> {
    return loadConfig({ file: write("paramedic.yaml", text), env: { ...minimalEnv, ...env } });
  }

  return {
    folder,
    write,
    load,
    config(text, env) {
      const loaded = load(text, env);
      if ("problems" in loaded) throw new Error(JSON.stringify(loaded.problems));
      return loaded.config;
    },
    problems(text, env) {
      const loaded = load(text, env);
      return "problems" in loaded ? loaded.problems.map(({ line, message }) => `${line ?? "env"}: ${message}`) : [];
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
