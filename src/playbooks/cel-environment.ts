/** CEL as playbooks speak it: the library's environment with its limits on, and whole numbers that meet fractions freely. */

import { type ASTNode, Environment } from "@marcbachmann/cel-js";
import { difference, quantity, type Unit } from "../domain/quantity.ts";
import { compilePattern, type Pattern } from "./pattern.ts";

/** Takes the place of the library's `matches`, which would run the pattern as a JavaScript one, in exponential time. */
export const linearMatches = "matchesLinear";

const options = { homogeneousAggregateLiterals: false, unlistedVariablesAreDyn: false, enableOptionalTypes: false };

// Only for reading what people wrote; what it accepts is printed anew, with more parentheses, and checked elsewhere.
const reader = new Environment({
  ...options,
  limits: { maxAstNodes: 500, maxDepth: 32, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 8 },
});

/** What makes text of a number, by its name in expressions. */
const words: Readonly<Record<string, Unit | "difference">> = {
  asSeconds: "seconds",
  asBytes: "bytes",
  asPercent: "ratio",
  asNumber: "number",
  asChange: "difference",
};

const base = withWords(withNumbers(new Environment(options)))
  .registerFunction(`string.${linearMatches}(string): bool`, (text: string, pattern: string) =>
    patternOf(pattern).matchesPart(text),
  )
  .registerFunction("largestKey(map): string", largestKey);

/** The syntax tree of an expression; throws the library's ParseError. */
export function parseExpression(source: string): ASTNode {
  return reader.parse(source).ast;
}

/** A fresh environment for one expression, still without variables. */
export function createEnvironment(): Environment {
  return base.clone();
}

/** The key of the largest number, of several the first. What is asked of a map for which a loop inside a loop is too slow. */
function largestKey(map: ReadonlyMap<string, unknown> | Readonly<Record<string, unknown>>): string {
  let largest: { readonly key: string; readonly value: number } | null = null;
  for (const [key, value] of map instanceof Map ? map : Object.entries(map)) {
    if (typeof value !== "number" && typeof value !== "bigint")
      throw new Error(`largestKey() takes numbers, and that of '${key}' is none`);
    if (largest === null || value > largest.value) largest = { key, value: Number(value) };
  }
  if (largest === null) throw new Error("largestKey() of nothing");
  return largest.key;
}

// Patterns are literals of playbooks, so there are few. The bound is for a process that reloads for years.
const patterns = new Map<string, Pattern>();

function patternOf(source: string): Pattern {
  const known = patterns.get(source);
  if (known !== undefined) return known;
  const compiled = compilePattern(source);
  if (!compiled.ok) throw new Error(compiled.message);
  if (patterns.size >= 1_000) patterns.clear();
  patterns.set(source, compiled.pattern);
  return compiled.pattern;
}

/** CEL itself knows no sum, product or equality of an `int` and a `double`; literals such as 300 are `int`. */
function withNumbers(environment: Environment): Environment {
  const operators: Readonly<Record<string, (a: number, b: number) => number>> = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "/": (a, b) => a / b,
    "%": (a, b) => a % b,
  };
  for (const [operator, calculate] of Object.entries(operators)) {
    const operation = (a: number | bigint, b: number | bigint) => calculate(Number(a), Number(b));
    environment.registerOperator(`double ${operator} int: double`, operation);
    environment.registerOperator(`int ${operator} double: double`, operation);
  }
  environment.registerOperator("double % double: double", (a: number, b: number) => a % b);
  // The library derives != and the other order from it.
  environment.registerOperator("double == int", (a: number, b: bigint) => Number.isInteger(a) && BigInt(a) === b);
  return environment;
}

function withWords(environment: Environment): Environment {
  for (const [name, unit] of Object.entries(words)) {
    const worded = (value: number | bigint) =>
      unit === "difference" ? difference(Number(value)) : quantity(Number(value), unit);
    for (const type of ["double", "int"]) environment.registerFunction(`${name}(${type}): string`, worded);
  }
  return environment;
}
