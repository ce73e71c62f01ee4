/** The schema of a target's Django project: where it is, and the names in it that may be called. */

import { z } from "zod";

import type { DjangoTarget } from "../domain/target.ts";
import { absolutePath, someOf, text } from "./fields.ts";
import type { Secret } from "./secret.ts";
import type { SecretField } from "./secret-field.ts";

const dotted = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;

const moduleName = text.refine((value) => dotted.test(value), {
  error: "must be a Python module name such as site.settings",
});

const callable = text.refine((value) => value.length <= 200 && dotted.test(value) && !value.includes("__"), {
  error: "must be the dotted name of something to call, such as shop.cache.warm, or the name of a management command",
});

const functionName = callable.refine((value) => value.includes("."), {
  error: "must be the dotted name of something to call, such as shop.views.get_summary",
});

const variableName = text.refine((value) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(value), {
  error: "must be the name of an environment variable",
});

/** What a variable of such a name holds is not written in the file. */
const secretName = /PASS|SECRET|TOKEN|KEY|CREDENTIAL|URL|DSN/i;

/** The section `django` of a target. */
export function djangoSchema(secret: SecretField) {
  const value = z.union([text, secret("credential")], {
    // What is wrong with the reference itself, such as a variable that is not set.
    error: ({ input, errors }) =>
      (typeof input === "object" && errors[1]?.[0]?.message) || "must be text, or { env: NAME } or { file: PATH }",
  });
  return z.strictObject({
    project: absolutePath,
    python: absolutePath,
    settings: moduleName,
    env: z.record(variableName, value).superRefine(refuseLiterals).default({}),
    warmUp: someOf(callable).default([]),
    reports: someOf(functionName).default([]),
    metrics: z
      .strictObject({ cleanUp: callable.optional(), archive: callable.optional(), count: functionName.optional() })
      .default({}),
  });
}

function refuseLiterals(env: Readonly<Record<string, string | Secret>>, context: z.RefinementCtx): void {
  for (const [name, value] of Object.entries(env)) {
    if (typeof value !== "string" || !secretName.test(name)) continue;
    const message = "a secret is never written in the file: give { env: NAME } or { file: PATH }";
    context.addIssue({ code: "custom", path: [name], message });
  }
}

/** The domain's Django project, with its secrets revealed. */
export function buildDjango(parsed: z.output<ReturnType<typeof djangoSchema>>): DjangoTarget {
  const env = Object.entries(parsed.env).map(([name, value]) => [
    name,
    typeof value === "string" ? value : value.reveal(),
  ]);
  return { ...parsed, env: Object.fromEntries(env) };
}
