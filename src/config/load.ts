/** Environment and `paramedic.yaml` to configuration. Reports every problem at once; the only reader of the environment. */

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type Document, LineCounter, parseDocument } from "yaml";

import { build } from "./build.ts";
import type { Config } from "./config.ts";
import { crossCheck } from "./cross-checks.ts";
import { readOverrides } from "./overrides.ts";
import { type Finding, findingsOf, locate, type Problem } from "./problems.ts";
import { configSchema, type ParsedConfig } from "./schema.ts";
import { createSecretField } from "./secret-field.ts";

type Env = Readonly<Record<string, string | undefined>>;

const fileLimitBytes = 1_048_576;

/**
 * Reads the configuration. `file` is the path of `paramedic.yaml`, to which the relative paths in it refer; null where
 * there is none. Nothing is returned of a configuration that has a problem.
 */
export function loadConfig(options: {
  readonly file: string | null;
  /** The process's own environment where left out. */
  readonly env?: Env;
}): { readonly config: Config } | { readonly problems: readonly Problem[] } {
  const { file, env = process.env } = options;
  const folder = file === null ? process.cwd() : dirname(resolve(file));
  const values = new Set<string>();
  const overrides = readOverrides(env, values);

  const read = readYaml(file);
  if ("problems" in read) return { problems: [...read.problems, ...overrides.problems] };
  const { document, lines } = read;
  const raw: unknown = document.contents === null ? {} : document.toJS();
  const name = file ?? "environment";

  const parsed = configSchema(createSecretField(env, folder, values)).safeParse(
    withoutOverridden(raw, overrides.names),
  );
  const findings: readonly Finding[] = [...(parsed.success ? [] : findingsOf(parsed.error)), ...crossCheck(raw, env)];
  const problems = [...locate(name, document, lines, findings), ...overrides.problems];
  if (!parsed.success || problems.length > 0) {
    return { problems: file === null ? problems.map((problem) => ({ ...problem, line: null })) : problems };
  }

  const warnings = locate(name, document, lines, unusedSections(parsed.data));
  return { config: build({ file, folder, env, parsed: parsed.data, overrides, secrets: [...values], warnings }) };
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

/** What somebody may rely on and must not. */
function unusedSections(parsed: ParsedConfig): readonly Finding[] {
  const findings: Finding[] = (["slack", "statusPage"] as const)
    .filter((key) => parsed[key] !== undefined)
    .map((key) => ({
      path: [key],
      message: "is read and checked, but this version does not act on it yet: nothing is sent there",
    }));
  for (const [policy, levels] of Object.entries(parsed.escalation)) {
    for (const [index, level] of levels.entries()) {
      const path = ["escalation", policy, index];
      if (level.slack !== undefined) {
        findings.push({ path: [...path, "slack"], message: "is read and checked, but nothing is sent to Slack yet" });
      }
      if (level.email !== undefined && level.email.length > 0 && parsed.email === undefined) {
        findings.push({
          path: [...path, "email"],
          message: "names people, but without the section `email` they are not told",
        });
      }
    }
  }
  return findings;
}
