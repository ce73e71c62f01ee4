/** The `with` of a step: literal values, and strings that are one whole `${{ … }}` expression each. */

import type { Schema } from "../domain/action.ts";
import type { Json, JsonObject } from "../domain/json.ts";
import { type JsonSchema, jsonSchemaOf } from "./cel-types.ts";
import { compileExpression, type Expression, type Scope, type Values } from "./expression.ts";
import { hint } from "./near.ts";

/** What is wrong with one value of a `with`; `path` leads to it. */
export interface TemplateProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export interface Template {
  readonly ok: true;
  readonly input: StepInput;
}

/** Evaluates the expressions and checks the whole input against the action's schema once more. */
export type StepInput = (
  values: Values,
) => { readonly ok: true; readonly input: unknown } | { readonly ok: false; readonly error: string };

export type CompiledTemplate = Template | { readonly ok: false; readonly problems: readonly TemplateProblem[] };

type Path = readonly (string | number)[];
type Found = { readonly path: Path; readonly expression: Expression };

/** Compiles a `with` and checks it against the action's input schema, as far as that can be known before a run. */
export function compileTemplate(template: JsonObject, scope: Scope, inputSchema: Schema<unknown>): CompiledTemplate {
  const found: Found[] = [];
  const problems: TemplateProblem[] = [];
  const literal = readValue(template, [], scope, found, problems);
  const schema = jsonSchemaOf(inputSchema, "input");
  const unknownKeys = [...unknownKeysOf(template, schema, [])];
  problems.push(...unknownKeys);
  for (const { path, expression } of found) {
    const message = typeProblem(expression.type, schemaAt(schema, path));
    if (message !== null) problems.push({ path, message });
  }
  problems.push(...literalProblems(literal, inputSchema, found, [...unknownKeys, ...problems]));
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, input: (values) => evaluate(template, found, inputSchema, values) };
}

/** The value with expressions left out, which are collected. */
function readValue(value: Json, path: Path, scope: Scope, found: Found[], problems: TemplateProblem[]): unknown {
  if (typeof value === "string") {
    if (!value.includes("${{")) return value;
    const source = wholeExpression(value);
    if (source === null) {
      const message = `\${{ … }} must be the whole value, one expression and nothing around it`;
      problems.push({ path, message });
      return undefined;
    }
    const expression = compileExpression(source, scope);
    if (expression.ok) found.push({ path, expression });
    else problems.push({ path, message: expression.message });
    return undefined;
  }
  if (isList(value)) return value.map((item, at) => readValue(item, [...path, at], scope, found, problems));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => {
    if (key.includes("${{")) problems.push({ path: [...path, key], message: "a key cannot be an expression" });
    return [key, readValue(item, [...path, key], scope, found, problems)] as const;
  });
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function wholeExpression(text: string): string | null {
  const trimmed = text.trim();
  if (!trimmed.startsWith("${{") || !trimmed.endsWith("}}")) return null;
  const source = trimmed.slice(3, -2).trim();
  return source.includes("${{") ? null : source;
}

function* unknownKeysOf(value: Json, schema: JsonSchema, path: Path): Generator<TemplateProblem> {
  if (isList(value)) {
    for (const [at, item] of value.entries()) yield* unknownKeysOf(item, schema.items ?? {}, [...path, at]);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  const properties = schema.properties;
  if (properties === undefined) {
    if (path.length === 0 && schema.type === "object" && schema.additionalProperties === false) {
      for (const key of Object.keys(value))
        yield { path: [key], message: `unknown input '${key}'; this action takes none` };
    }
    return;
  }
  for (const [key, item] of Object.entries(value)) {
    const property = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (property !== undefined) yield* unknownKeysOf(item, property, [...path, key]);
    else if (schema.additionalProperties === undefined || schema.additionalProperties === false) {
      const known = Object.keys(properties);
      const message = known.length === 0 ? "; this action takes none" : hint(key, known);
      yield { path: [...path, key], message: `unknown input '${key}'${message}` };
    }
  }
}

function schemaAt(schema: JsonSchema, path: Path): JsonSchema {
  let here = schema;
  for (const part of path) {
    if (typeof part === "number") here = here.items ?? {};
    else if (here.properties !== undefined && Object.hasOwn(here.properties, part)) here = here.properties[part] ?? {};
    else here = typeof here.additionalProperties === "object" ? here.additionalProperties : {};
  }
  return here;
}

function typeProblem(celType: string, schema: JsonSchema): string | null {
  const given = kindOfCelType(celType);
  const taken = kindsOfSchema(schema);
  if (given === null || taken === null || taken.has(given)) return null;
  return `the action takes ${[...taken].join(" or ")} here, the expression gives ${given}`;
}

function kindOfCelType(celType: string): string | null {
  if (celType === "double" || celType === "int" || celType === "uint") return "number";
  if (celType === "string") return "string";
  if (celType === "bool") return "boolean";
  if (celType.startsWith("list")) return "array";
  if (celType === "null" || celType.startsWith("dyn")) return null;
  return "object";
}

function kindsOfSchema(schema: JsonSchema): ReadonlySet<string> | null {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) {
    const kinds = alternatives.map(kindsOfSchema);
    return kinds.some((kind) => kind === null) ? null : new Set(kinds.flatMap((kind) => [...(kind ?? [])]));
  }
  const types = typeof schema.type === "string" ? [schema.type] : schema.type;
  if (types === undefined) return null;
  return new Set(types.map((type) => (type === "integer" ? "number" : type)));
}

/** What the action's schema says against the literal values. What depends on an expression is left to the run. */
function literalProblems(
  literal: unknown,
  inputSchema: Schema<unknown>,
  found: readonly Found[],
  reported: readonly TemplateProblem[],
): readonly TemplateProblem[] {
  const result = inputSchema.safeParse(literal);
  if (result.success) return [];
  const undecided = [...found.map(({ path }) => path), ...reported.map(({ path }) => path)];
  return result.error.issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
    // Unknown keys have been found by the walk over the JSON Schema, which knows the line of each.
    if ((issue as { readonly code?: string }).code === "unrecognized_keys") return [];
    if (undecided.some((other) => startsWith(other, path) || startsWith(path, other))) return [];
    return [{ path, message: inputProblem(path, literal, issue.message) }];
  });
}

function startsWith(path: Path, start: Path): boolean {
  return start.length <= path.length && start.every((part, at) => part === path[at]);
}

function inputProblem(path: Path, input: unknown, message: string): string {
  const name = path.join(".");
  if (name === "") return message;
  return isMissing(input, path) ? `input '${name}' is missing` : `input '${name}': ${message}`;
}

function isMissing(input: unknown, path: Path): boolean {
  let here = input;
  for (const part of path) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, part)) return true;
    here = (here as Readonly<Record<string | number, unknown>>)[part];
  }
  return here === undefined;
}

function evaluate(
  template: JsonObject,
  found: readonly Found[],
  inputSchema: Schema<unknown>,
  values: Values,
): ReturnType<StepInput> {
  const calculated = new Map<string, Json>();
  for (const { path, expression } of found) {
    const result = expression.evaluate(values);
    if (!result.ok) return { ok: false, error: `with.${path.join(".")}: ${result.error}` };
    calculated.set(JSON.stringify(path), result.value);
  }
  const input = fill(template, [], calculated);
  const parsed = inputSchema.safeParse(input);
  if (parsed.success) return { ok: true, input: parsed.data };
  const reasons = parsed.error.issues.map((issue) =>
    inputProblem(
      issue.path.map((part) => (typeof part === "number" ? part : String(part))),
      input,
      issue.message,
    ),
  );
  return { ok: false, error: `the action does not take this input: ${reasons.join("; ")}` };
}

function fill(value: Json, path: Path, calculated: ReadonlyMap<string, Json>): Json {
  const replacement = calculated.get(JSON.stringify(path));
  if (replacement !== undefined) return replacement;
  if (isList(value)) return value.map((item, at) => fill(item, [...path, at], calculated));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, [...path, key], calculated)]));
}
