/** CEL expressions of playbooks: compiled and type-checked when the playbook is loaded, evaluated without effects. */

import type { ASTNode, ParseResult } from "@marcbachmann/cel-js";
import type { Labels } from "../domain/alert.ts";
import type { Json } from "../domain/json.ts";
import type { InputDeclaration } from "../domain/playbook.ts";
import { createEnvironment, linearMatches, parseExpression } from "./cel-environment.ts";
import { allNodes, pathOf, presenceTests, printExpression, refusedSyntax } from "./cel-syntax.ts";
import { bindType, dyn, isFieldName, type ValueType } from "./cel-types.ts";
import { hint } from "./near.ts";

/** What an expression can see, by where it stands. */
export interface Scope {
  /** `with`: an expression of a step's input, where labels, annotations and the target's name cannot be used. */
  readonly place: "condition" | "with";
  /** The steps before this one and what they give. */
  readonly steps: ReadonlyMap<string, ValueType>;
  /** The steps that have not run yet where the expression stands; its own among them. */
  readonly laterSteps: ReadonlySet<string>;
  /** The steps before this one that may have seen nothing: an expression must ask for them first. Left out: none. */
  readonly optionalSteps?: ReadonlySet<string>;
  readonly inputs: Readonly<Record<string, InputDeclaration>>;
  /** What `output` is; null where there is none. */
  readonly output: ValueType | null;
}

/** What an expression is evaluated with. */
export interface Values {
  /** The outputs of the steps that have one. A step that was skipped or failed is not among them. */
  readonly steps: Readonly<Record<string, Json>>;
  readonly inputs: Readonly<Record<string, Json>>;
  /** The alert's labels and annotations; empty where no alert started the run. */
  readonly labels: Labels;
  readonly annotations: Labels;
  /** The target's name; null where the run has none. */
  readonly target: string | null;
  readonly output?: Json;
}

export type Evaluated<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

export interface Expression {
  readonly ok: true;
  /** CEL's name of the type of the result: `double`, `list<string>`, … */
  readonly type: string;
  /** The steps that it refers to, each once; also those that it only asks for by `has()`. */
  readonly steps: readonly string[];
  evaluate(values: Values): Evaluated<Json>;
}

export type CompiledExpression = Expression | { readonly ok: false; readonly message: string };

/** True, false, or a sentence that says why it cannot be told. */
export type Condition = (values: Values) => Evaluated<boolean>;

export type CompiledCondition =
  | { readonly ok: true; readonly condition: Condition; readonly steps: readonly string[] }
  | { readonly ok: false; readonly message: string };

/** What to tell people, or a sentence that says why it cannot be told. */
export type Text = (values: Values) => Evaluated<string>;

export type CompiledText =
  | { readonly ok: true; readonly text: Text }
  | { readonly ok: false; readonly message: string };

const longestSource = 2_000;

/** Compiles an expression that must give true or false. */
export function compileCondition(source: string, scope: Scope): CompiledCondition {
  const expression = compileExpression(source, scope);
  if (!expression.ok) return expression;
  if (expression.type !== "bool") {
    return { ok: false, message: `a condition must give bool (true or false), not ${expression.type}: ${source}` };
  }
  return {
    ok: true,
    steps: expression.steps,
    condition(values) {
      const result = expression.evaluate(values);
      if (!result.ok) return result;
      if (typeof result.value === "boolean") return { ok: true, value: result.value };
      return { ok: false, error: `the condition gave ${JSON.stringify(result.value)}, not true or false` };
    },
  };
}

/** Compiles an expression that must give a text for people. */
export function compileText(source: string, scope: Scope): CompiledText {
  const expression = compileExpression(source, scope);
  if (!expression.ok) return expression;
  if (expression.type !== "string" && expression.type !== "dyn") {
    return { ok: false, message: `it must give a text, not ${expression.type}; string(…) makes one: ${source}` };
  }
  return {
    ok: true,
    text(values) {
      const result = expression.evaluate(values);
      if (!result.ok) return result;
      if (typeof result.value === "string") return { ok: true, value: result.value };
      return { ok: false, error: `it gave ${JSON.stringify(result.value)}, not a text` };
    },
  };
}

/** Compiles an expression against what its place can see. The message says what is wrong and what to write instead. */
export function compileExpression(source: string, scope: Scope): CompiledExpression {
  if (source.trim() === "") return refused("the expression is empty");
  if (source.length > longestSource) return refused(`the expression is longer than ${longestSource} characters`);
  try {
    const tree = parseExpression(source);
    const wrong = refusedSyntax(tree) ?? refusedName(tree, scope) ?? notAskedFor(tree, scope);
    return wrong === null ? check(tree, scope) : refused(`${wrong}: ${source}`);
  } catch (error) {
    return refused(`${summaryOf(error)}: ${source}`);
  }
}

function refused(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}

const ownNames = new Set(["steps", "inputs", "labels", "annotations", "target", "output"]);

function refusedName(tree: ASTNode, scope: Scope): string | null {
  const selected = new Set<ASTNode>();
  for (const node of allNodes(tree)) {
    if (node.op === "." && node.args[0].op === "id") {
      selected.add(node.args[0]);
      const wrong = node.args[0].args === "steps" ? refusedStep(node.args[1], scope) : null;
      if (wrong !== null) return wrong;
    }
    if (node.op !== "id" || !ownNames.has(node.args)) continue;
    if (node.args === "steps" && !selected.has(node)) return "steps can only be used as steps.<id>";
    if (node.args === "output" && scope.output === null) return "output exists only in expect; use steps.<id>";
    if (scope.place === "with" && (node.args === "labels" || node.args === "annotations" || node.args === "target")) {
      return `${node.args} cannot be used in with: what an alert says selects, it never becomes input of an action`;
    }
  }
  return null;
}

/** Every use of `steps` is `steps.<id>`: anything else was refused. */
function stepsIn(tree: ASTNode): readonly string[] {
  const ids = [...allNodes(tree)].flatMap((node) =>
    node.op === "." && node.args[0].op === "id" && node.args[0].args === "steps" ? [node.args[1]] : [],
  );
  return [...new Set(ids)];
}

function refusedStep(id: string, scope: Scope): string | null {
  if (scope.steps.has(id)) return null;
  if (scope.laterSteps.has(id)) return `step '${id}' has not run yet at this point; only earlier steps have an output`;
  return `there is no step '${id}'${hint(id, scope.steps.keys())}`;
}

/** The steps of which the expression asks by `has()` whether they have an output; none where it cannot be read. */
export function stepsAskedFor(source: string): ReadonlySet<string> {
  try {
    return askedIn(parseExpression(source));
  } catch {
    return new Set();
  }
}

function askedIn(tree: ASTNode): ReadonlySet<string> {
  return new Set(
    presenceTests(tree).flatMap((test) => {
      const [root, id] = pathOf(test) ?? [];
      return root === "steps" && id !== undefined ? [id] : [];
    }),
  );
}

/** Whether it uses an optional step without asking anywhere whether that has seen something. */
function notAskedFor(tree: ASTNode, { optionalSteps }: Scope): string | null {
  if (!optionalSteps) return null;
  const asked = askedIn(tree);
  const id = stepsIn(tree).find((one) => optionalSteps.has(one) && !asked.has(one));
  if (id === undefined) return null;
  return `step '${id}' is optional, so it may have seen nothing; ask first, as in has(steps.${id}) && …`;
}

function check(tree: ASTNode, scope: Scope): CompiledExpression {
  const environment = createEnvironment();
  const used = new Set([...allNodes(tree)].flatMap((node) => (node.op === "id" ? [node.args] : [])));
  const bound = [...variablesOf(scope)]
    .filter(([name]) => used.has(name))
    .map(([name, type]) => ({ name, type: bindType(environment, name, type) }));
  for (const { name, type } of bound) environment.registerVariable(name, type.celName);

  for (const test of presenceTests(tree)) {
    const path = pathOf(test);
    if (path === null || path.length < 2) return refused("has() takes a field, as in has(steps.activity)");
    if (!ownNames.has(path[0] as string)) continue;
    const checked = environment.check(path.join("."));
    if (!checked.valid) return refused(describeTypeError(checked.error, test, scope));
  }

  let parsed = environment.parse(printExpression(tree, { presence: true, asDouble: new Set() }));
  let checked = parsed.check();
  // Each round makes one place fit where a whole number meets a fraction; more rounds than nodes are not needed.
  for (let round = 0; !checked.valid && round < 100; round++) {
    const asDouble = mixedNumbers(checked.error);
    if (asDouble.size === 0) break;
    parsed = environment.parse(printExpression(parsed.ast, { presence: false, asDouble }));
    checked = parsed.check();
  }
  if (!checked.valid) return refused(describeTypeError(checked.error, tree, scope));
  return {
    ok: true,
    type: checked.type ?? "dyn",
    steps: stepsIn(tree),
    evaluate: (values) => evaluate(parsed, bound, values),
  };
}

function variablesOf(scope: Scope): ReadonlyMap<string, ValueType> {
  const labels: ValueType = { kind: "map", of: { kind: "string" } };
  const inputs = Object.entries(scope.inputs).map(([name, input]) => [name, typeOfInput(input)] as const);
  const variables = new Map<string, ValueType>([
    ["steps", { kind: "object", fields: scope.steps }],
    ["inputs", { kind: "object", fields: new Map(inputs) }],
    ["output", scope.output ?? dyn],
  ]);
  if (scope.place === "with") return variables;
  return variables.set("labels", labels).set("annotations", labels).set("target", { kind: "string" });
}

function typeOfInput(input: InputDeclaration): ValueType {
  if (input.type === "string") return { kind: "string" };
  return { kind: input.type === "boolean" ? "bool" : "double" };
}

/** The nodes that must become fractions for a type error to go away: branches of `?:`, and the left of `in`. */
function mixedNumbers(error: unknown): ReadonlySet<ASTNode> {
  const node = nodeOf(error);
  if (node?.op === "?:") return new Set(haveNumbers(node.args[1], node.args[2]) ? [node.args[1], node.args[2]] : []);
  if (node?.op !== "in") return new Set();
  const [left, right] = node.args;
  return new Set(typeNameOf(left) === "int" && typeNameOf(right) === "list<double>" ? [left] : []);
}

function haveNumbers(a: ASTNode, b: ASTNode): boolean {
  return new Set([typeNameOf(a), typeNameOf(b), "int", "double"]).size === 2;
}

function typeNameOf(node: ASTNode): string | undefined {
  return (node as { readonly checkedType?: { readonly name: string } }).checkedType?.name;
}

type Bound = { readonly name: string; readonly type: ReturnType<typeof bindType> };

function evaluate(parsed: ParseResult, bound: readonly Bound[], values: Values): Evaluated<Json> {
  try {
    const context: Record<string, unknown> = Object.create(null);
    for (const { name, type } of bound) context[name] = type.toValue(jsonOf(name, values));
    return { ok: true, value: toJson(parsed(context)) };
  } catch (error) {
    return { ok: false, error: describeRunError(error) };
  }
}

function jsonOf(name: string, values: Values): unknown {
  if (name === "target") return values.target ?? "";
  return values[name as keyof Values];
}

/** Plain JSON of what CEL calculated; throws where there is none. */
function toJson(value: unknown): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "bigint" || typeof value === "number") {
    const number = Number(value);
    const exact = typeof value === "number" ? Number.isFinite(number) : Number.isSafeInteger(number);
    if (!exact)
      throw new Error(`the result is ${value}, which is no number that can be used; is something divided by 0?`);
    return number;
  }
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, item]) => [String(key), toJson(item)]));
  }
  if (typeof value !== "object" || value instanceof Date || Symbol.toStringTag in value || ArrayBuffer.isView(value)) {
    throw new Error("the result is neither a number, a text, true, false, a list nor an object");
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
}

function nodeOf(error: unknown): ASTNode | null {
  const node = (error as { readonly node?: ASTNode } | null)?.node;
  return node?.op === undefined ? null : node;
}

function summaryOf(error: unknown): string {
  const summary = (error as { readonly summary?: unknown } | null)?.summary;
  if (typeof summary === "string") return firstLine(summary);
  if (error instanceof RangeError) return "the expression, or a value in it, is nested too deeply";
  return firstLine(error instanceof Error ? error.message : String(error));
}

function firstLine(text: string): string {
  return asWritten(text.split("\n")[0] ?? "");
}

/** People wrote `matches`. */
function asWritten(text: string): string {
  return text.replaceAll(linearMatches, "matches");
}

function describeTypeError(error: unknown, tree: ASTNode, scope: Scope): string {
  const node = nodeOf(error);
  if (node?.op === "id") {
    return `unknown name '${node.args}'; expressions can use ${[...variablesOf(scope).keys()].join(", ")}`;
  }
  const path = node === null ? null : pathOf(node);
  if (node?.op === "." && path !== null && codeOf(error) === "no_such_key") {
    const known = fieldsOf(path.slice(0, -1), variablesOf(scope));
    return `there is no ${path.join(".")}${known === null ? "" : hint(node.args[1], known)}`;
  }
  const written = printExpression(node ?? tree, { presence: false, asDouble: new Set() });
  return `${summaryOf(error)}, in ${asWritten(written)}`;
}

function fieldsOf(path: readonly string[], variables: ReadonlyMap<string, ValueType>): Iterable<string> | null {
  const [first, ...rest] = path;
  let type = first === undefined ? undefined : variables.get(first);
  for (const name of rest) type = type?.kind === "object" ? type.fields.get(name) : undefined;
  return type?.kind === "object" ? type.fields.keys() : null;
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | null)?.code;
}

/** A sentence about what went wrong while an expression was evaluated, and how to guard against it. */
function describeRunError(error: unknown): string {
  const node = nodeOf(error);
  const selected = node === null ? null : selectionOf(node);
  if (codeOf(error) !== "no_such_key" || selected === null) return summaryOf(error);
  const { from, key, written } = selected;
  switch (from) {
    case "steps":
      return `step '${key}' has no output; guard with has(steps.${key})`;
    case "inputs":
      return `input '${key}' was not given; guard with has(inputs.${key})`;
    case "labels":
    case "annotations":
      return `the alert has no ${from.slice(0, -1)} '${key}'; guard with ${isFieldName(key) ? `has(${written})` : `"${key}" in ${from}`}`;
    default:
      return `there is no ${written}; guard with has(${written})`;
  }
}

function selectionOf(node: ASTNode): { readonly from: string; readonly key: string; readonly written: string } | null {
  if (node.op === ".") {
    const path = pathOf(node);
    if (path === null) return null;
    return { from: path.slice(0, -1).join("."), key: node.args[1], written: path.join(".") };
  }
  if (node.op !== "[]" || node.args[1].op !== "value") return null;
  const from = pathOf(node.args[0])?.join(".");
  if (from === undefined) return null;
  const key = String(node.args[1].args);
  return { from, key, written: `${from}.${key}` };
}
