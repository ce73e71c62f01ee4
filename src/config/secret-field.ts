/** The schema of a secret: `{ env: NAME }` or `{ file: PATH }`, resolved while the file is read. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";

import { createSecret, type Secret, type SecretUse, secretsIn, weakness } from "./secret.ts";

/** Makes the schema of a secret for a use; URLs must have one of the schemes named. */
export type SecretField = (
  use: SecretUse,
  schemes?: readonly string[],
) => z.ZodPipe<z.ZodUnknown, z.ZodTransform<Secret, unknown>>;

type Read = { readonly value: string; readonly from: string } | { readonly problem: string };

const fileLimitBytes = 64 * 1024;

/** Secrets are read from `env` and from files relative to `folder`; each value is added to `values` for redaction. */
export function createSecretField(
  env: Readonly<Record<string, string | undefined>>,
  folder: string,
  values: Set<string>,
): SecretField {
  return (use, schemes) =>
    z.unknown().transform((reference, context) => {
      const read = readSecret(reference, env, folder);
      const problem = "problem" in read ? read.problem : problemOf(read.value, read.from, use, schemes ?? []);
      if ("problem" in read || problem !== null) {
        context.addIssue({ code: "custom", message: problem as string });
        return z.NEVER;
      }
      for (const value of secretsIn(read.value, use)) values.add(value);
      return createSecret(read.value);
    });
}

/** What is wrong with a value that was found; the value itself is never part of the answer. */
export function problemOf(value: string, from: string, use: SecretUse, schemes: readonly string[]): string | null {
  const weak = weakness(value, use);
  if (weak) return `the secret in ${from} ${weak}`;
  if (schemes.length > 0 && !(URL.canParse(value) && schemes.includes(new URL(value).protocol))) {
    return `the value of ${from} must be a URL that starts with ${schemes.map((scheme) => `${scheme}//`).join(" or ")}`;
  }
  return null;
}

function readSecret(reference: unknown, env: Readonly<Record<string, string | undefined>>, folder: string): Read {
  if (reference === undefined) return { problem: "is missing: give { env: NAME } or { file: PATH }" };
  if (typeof reference === "string" || typeof reference === "number") {
    return { problem: "a secret is never written in the file: give { env: NAME } or { file: PATH }" };
  }
  const entries = typeof reference === "object" && reference !== null ? Object.entries(reference) : [];
  const [kind, name] = entries[0] ?? [];
  if (entries.length !== 1 || typeof name !== "string" || name === "" || (kind !== "env" && kind !== "file")) {
    return { problem: "must be { env: NAME } or { file: PATH }" };
  }
  if (kind === "env") {
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value === undefined) return { problem: `the environment variable ${name} is not set` };
    return { value, from: `the environment variable ${name}` };
  }
  try {
    const bytes = readFileSync(resolve(folder, name));
    if (bytes.length > fileLimitBytes) return { problem: `the file ${name} is too large for a secret` };
    // Editors and `echo` end a file with a line break that is not part of the secret.
    return { value: bytes.toString("utf8").replace(/\r?\n$/, ""), from: `the file ${name}` };
  } catch (error) {
    return { problem: `the file ${name} cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})` };
  }
}
