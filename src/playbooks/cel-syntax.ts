/** The syntax trees of CEL expressions: what they refer to, what is refused in them, and how they are written down again. */

import type { ASTNode } from "@marcbachmann/cel-js";
import { linearMatches } from "./cel-environment.ts";
import { compilePattern } from "./pattern.ts";

/** The direct parts of a node, in the order in which they are written. */
export function childrenOf(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case "value":
    case "id":
      return [];
    case ".":
    case ".?":
      return [node.args[0]];
    case "call":
      return node.args[1];
    case "rcall":
      return [node.args[1], ...node.args[2]];
    case "list":
      return node.args;
    case "map":
      return node.args.flat();
    case "!_":
    case "-_":
      return [node.args];
    default:
      return node.args;
  }
}

/** The node and everything below it. */
export function* allNodes(node: ASTNode): Generator<ASTNode> {
  yield node;
  for (const child of childrenOf(node)) yield* allNodes(child);
}

const comprehensions = new Set(["all", "exists", "exists_one", "map", "filter"]);
const mostComprehensions = 4;

function isComprehension(node: ASTNode): boolean {
  return node.op === "rcall" && comprehensions.has(node.args[0]) && node.args[2].length > 1;
}

/** What an expression may not do, whatever its names mean; null where nothing is wrong. */
export function refusedSyntax(root: ASTNode): string | null {
  let loops = 0;
  for (const node of allNodes(root)) {
    if (node.op === ".?" || node.op === "[?]") return "optional selection (.?) is not supported; use has()";
    if (node.op !== "rcall") continue;
    const [method, receiver, args] = node.args;
    if (method === "bind" && receiver.op === "id" && receiver.args === "cel") return "cel.bind() is not supported";
    const isLoop = isComprehension(node);
    if (isLoop) loops++;
    if (isLoop && args.some((arg) => [...allNodes(arg)].some(isComprehension))) {
      return `${method}() with another all, exists, exists_one, map or filter inside takes too long where there is much; leave one out, or use largestKey()`;
    }
    if (loops > mostComprehensions) {
      return `more than ${mostComprehensions} of all, exists, exists_one, map and filter in one expression`;
    }
    if (method !== "matches" || args.length !== 1) continue;
    const [pattern] = args;
    if (pattern?.op !== "value" || typeof pattern.args !== "string") {
      return "the pattern of matches() must be a text in quotes, not something calculated";
    }
    const compiled = compilePattern(pattern.args);
    if (!compiled.ok) return `matches("${pattern.args}"): ${compiled.message}`;
  }
  return null;
}

/** The chain `a.b.c` as ["a", "b", "c"]; null where the node is not one. */
export function pathOf(node: ASTNode): readonly string[] | null {
  if (node.op === "id") return [node.args];
  if (node.op !== ".") return null;
  const left = pathOf(node.args[0]);
  return left === null ? null : [...left, node.args[1]];
}

/** The arguments of every `has()` in the expression. */
export function presenceTests(root: ASTNode): readonly ASTNode[] {
  return [...allNodes(root)].flatMap((node) => (node.op === "call" && node.args[0] === "has" ? node.args[1] : []));
}

/** How an expression is changed while it is written down. */
export interface Rewriting {
  /** Writes `has(a.b.c)` as `has(a.b) && has(a.b.c)`, so that it is false, not an error, where `a.b` is absent. */
  readonly presence: boolean;
  /** Nodes to be written as fractions. */
  readonly asDouble: ReadonlySet<ASTNode>;
}

/** Writes the tree as CEL, with every operator in parentheses, `matches` in linear time, and lists of numbers as fractions. */
export function printExpression(node: ASTNode, rewriting: Rewriting): string {
  const text = printNode(node, rewriting);
  return rewriting.asDouble.has(node) ? `double(${text})` : text;
}

function printNode(node: ASTNode, rewriting: Rewriting): string {
  const print = (child: ASTNode) => printExpression(child, rewriting);
  switch (node.op) {
    case "value":
      return printLiteral(node.args);
    case "id":
      return node.args;
    case ".":
      return `${print(node.args[0])}.${node.args[1]}`;
    case "[]":
      return `${print(node.args[0])}[${print(node.args[1])}]`;
    case "call":
      return printCall(node.args[0], node.args[1], rewriting);
    case "rcall": {
      const [method, receiver, args] = node.args;
      const name = method === "matches" && args.length === 1 ? linearMatches : method;
      return `${print(receiver)}.${name}(${args.map(print).join(", ")})`;
    }
    case "list": {
      const numbers = node.args.map(numberOf);
      const known = numbers.every((number) => number !== null);
      return `[${known ? numbers.map((number) => printLiteral(number)).join(", ") : node.args.map(print).join(", ")}]`;
    }
    case "map":
      return `{${node.args.map(([key, value]) => `${print(key)}: ${print(value)}`).join(", ")}}`;
    case "?:":
      return `(${print(node.args[0])} ? ${print(node.args[1])} : ${print(node.args[2])})`;
    case "!_":
      return `(!${print(node.args)})`;
    case "-_":
      return `(-${print(node.args)})`;
    case ".?":
    case "[?]":
      throw new Error("optional selection is refused before an expression is printed");
    default:
      return `(${print(node.args[0])} ${node.op} ${print(node.args[1])})`;
  }
}

function printCall(name: string, args: readonly ASTNode[], rewriting: Rewriting): string {
  const [first] = args;
  const path = name === "has" && first !== undefined ? pathOf(first) : null;
  if (!rewriting.presence || path === null) {
    return `${name}(${args.map((arg) => printExpression(arg, rewriting)).join(", ")})`;
  }
  const tests = path.slice(1).map((_, at) => `has(${path.slice(0, at + 2).join(".")})`);
  return `(${tests.join(" && ")})`;
}

function numberOf(node: ASTNode): number | null {
  if (node.op === "-_") {
    const number = numberOf(node.args);
    return number === null ? null : -number;
  }
  if (node.op !== "value") return null;
  return typeof node.args === "bigint" || typeof node.args === "number" ? Number(node.args) : null;
}

function printLiteral(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") {
    const text = String(value);
    return /^-?\d+$/.test(text) ? `${text}.0` : text;
  }
  if (value instanceof Uint8Array) {
    return `b"${[...value].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}"`;
  }
  if (typeof value === "object" && value !== null) return `${String(value)}u`;
  return String(value);
}
