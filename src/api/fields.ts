/** Checks bodies and query strings against schemas, and names every field at fault in words that say what it must be. */

import type { IncomingMessage } from "node:http";
import { type ZodType, z } from "zod";
import { isWritable } from "../domain/writable.ts";
import { createJsonReader } from "../http/json-body.ts";
import type { FieldProblem, Problem } from "../http/problem.ts";
import { type Answer, refusal } from "./route.ts";

/** The value, or the answer to give in its place. */
export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly answer: Answer };

export type ReadBody = <T>(request: IncomingMessage, schema: ZodType<T>) => Promise<Checked<T>>;

const mostDepth = 16;
const longestName = 100;

/** Makes the reader of JSON bodies of at most `limitBytes` bytes. */
export function createBodyReader(limitBytes: number): ReadBody {
  const readJson = createJsonReader({ limitBytes, maxDepth: mostDepth });
  return async (request, schema) => {
    const body = await readJson(request);
    if (body === null) return { ok: false, answer: { kind: "gone" } };
    if (!body.ok) return { ok: false, answer: refusal(body.problem) };
    return check(schema, body.value, "body");
  };
}

/** Checks a query string. A parameter that is given twice is refused: nobody could tell which one counts. */
export function readQuery<T>(query: URLSearchParams, schema: ZodType<T>): Checked<T> {
  const names = [...new Set(query.keys())];
  const twice = names.filter((name) => query.getAll(name).length > 1);
  if (twice.length > 0) {
    return refused(twice.map((name) => ({ field: shortened(name), message: "must be given once" })));
  }
  return check(schema, Object.fromEntries(names.map((name) => [name, query.get(name)])), "query");
}

/** The 422 that names the fields at fault. */
export function invalidFields(errors: readonly FieldProblem[]): Problem {
  return {
    status: 422,
    name: "invalid-fields",
    title: "Some fields are not as they must be",
    detail: `Correct ${errors.map(({ field }) => `'${field}'`).join(", ")} and send the request again.`,
    errors,
  };
}

function check<T>(schema: ZodType<T>, value: unknown, whole: string): Checked<T> {
  const parsed = schema.safeParse(value, { error: (issue) => wording(issue) });
  if (parsed.success) return { ok: true, value: parsed.data };
  return refused(
    parsed.error.issues.flatMap((issue): FieldProblem[] => {
      if (issue.code === "unrecognized_keys") {
        return issue.keys.map((key) => ({ field: shortened(key), message: "is not known here" }));
      }
      return [{ field: issue.path.length > 0 ? issue.path.join(".") : whole, message: issue.message }];
    }),
  );
}

function wording(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "invalid_type") {
    if (issue.input === undefined) return "is missing";
    return `must be ${kinds[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === "invalid_value") return `must be one of ${issue.values.map((value) => String(value)).join(", ")}`;
  if (issue.code === "too_big" && issue.origin === "string") return `must have at most ${issue.maximum} characters`;
  return undefined;
}

const kinds: Readonly<Record<string, string>> = {
  string: "a string",
  boolean: "true or false",
  object: "an object",
  number: "a number",
};

function refused(errors: readonly FieldProblem[]): { readonly ok: false; readonly answer: Answer } {
  return { ok: false, answer: refusal(invalidFields(errors)) };
}

function shortened(name: string): string {
  return name.length > longestName ? `${name.slice(0, longestName)}…` : name;
}

const notWritable = "must not contain control characters";

/** Something that a person wrote, without the spaces around it; not empty. */
export function text(most: number): ZodType<string, string> {
  return z.string().trim().min(1, "must not be empty").max(most).refine(isWritable, notWritable);
}

/** The name of something that is looked up. */
export function name(): ZodType<string, string> {
  return text(200);
}

/** How many items a page has, as a query string says it: 50 unless given. */
export const pageSize = z
  .string()
  .regex(/^[0-9]{1,3}$/, "must be a whole number from 1 to 200")
  .transform(Number)
  .refine((limit) => limit >= 1 && limit <= 200, "must be a whole number from 1 to 200")
  .default(50);

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a part of a path can be the id of anything. */
export function isId(value: string | undefined): value is string {
  return value !== undefined && uuid.test(value);
}
