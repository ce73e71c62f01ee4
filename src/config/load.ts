/** Environment and `paramedic.yaml` to configuration. Reports every problem at once; the only reader of the environment. */

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Document, LineCounter, parseDocument } from "yaml";

import { build } from "./build.ts";
import type { Config } from "./config.ts";
import { crossCheck } from "./cross-checks.ts";
import { type Outline, outlineOfWrong } from "./outline.ts";
import { readOverrides } from "./overrides.ts";
import { type Finding, findingsOf, locate, type Problem } from "./problems.ts";
import { configSchema } from "./schema.ts";
import { createSecretField } from "./secret-field.ts";
import { asksForTwo, warningsForTwoOf, warningsOf } from "./warnings.ts";

type Env = Readonly<Record<string, string | undefined>>;

const fileLimitBytes = 1_048_576;

/** A configuration, or everything that is wrong with it. */
export type LoadedConfig =
  | { readonly config: Config }
  | {
      readonly problems: readonly Problem[];
      /** Enough to check the playbooks all the same; null where the file cannot be used for that. */
      readonly outline: Outline | null;
    };

/**
 * Reads the configuration. `file` is the path of `paramedic.yaml`, to which the relative paths in it refer; null where
 * there is none. Nothing but its outline is returned of a configuration that has a problem.
 */
export function loadConfig(options: {
  readonly file: string | null;
  /** The process's own environment where left out. */
  readonly env?: Env;
}): LoadedConfig {
  const { file, env = process.env } = options;
  const folder = file === null ? process.cwd() : dirname(resolve(file));
  const values = new Set<string>();
  const overrides = readOverrides(env, values);

  const read = readYaml(file);
  if ("problems" in read) return { problems: [...read.problems, ...overrides.problems], outline: null };
  const { document, lines } = read;
  const raw: unknown = document.contents === null ? {} : document.toJS();
  const name = file ?? "environment";

  const parsed = configSchema(createSecretField(env, folder, values)).safeParse(
    withoutOverridden(raw, overrides.names),
  );
  const findings: readonly Finding[] = [...(parsed.success ? [] : findingsOf(parsed.error)), ...crossCheck(raw, env)];
  const problems = [...locate(name, document, lines, findings), ...overrides.problems];
  if (!parsed.success || problems.length > 0) {
    return file === null
      ? { problems: problems.map((problem) => ({ ...problem, line: null })), outline: null }
      : { problems, outline: outlineOfWrong(raw, folder) };
  }

  const warnings = locate(name, document, lines, warningsOf(raw, parsed.data));
  const warningsForTwo = asksForTwo(parsed.data) ? [] : locate(name, document, lines, warningsForTwoOf(parsed.data));
  const parts = { file, folder, env, parsed: parsed.data, overrides, secrets: [...values], warnings, warningsForTwo };
  return { config: build(parts) };
}

function readYaml(
  file: string | null,
): { readonly document: Document; readonly lines: LineCounter } | { readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  let source = "";
  if (file !== null) {
    try {
      source = readFileSync(file, "utf8");
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
      return {
        problems: [{ file, line: 1, message: `the configuration cannot be read (${code}); name it with --config` }],
      };
    }
    if (source.length > fileLimitBytes) {
      return { problems: [{ file, line: 1, message: "the configuration is larger than 1 MiB" }] };
    }
  }
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    return {
      problems: document.errors.map((error) => ({
        file: file ?? "environment",
        line: lines.linePos(error.pos[0]).line,
        message: `not valid YAML: ${error.message}`,
      })),
    };
  }
  return { document, lines };
}

/** A setting that the environment overrides is not read: the secret it names need not be there. */
function withoutOverridden(raw: unknown, names: ReadonlySet<string>): unknown {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return raw;
  return Object.fromEntries(Object.entries(raw).filter(([key]) => !names.has(key)));
}
