/** Every place in an action's input where a value stands, by the action's own schema. */

import * as z from "zod";
import type { Action } from "../../../src/domain/action.ts";

export interface Leaf {
  /** From the input on; `[]` stands for each element of a list, `{}` for each value of a record. */
  readonly path: readonly string[];
  /** `text`: any string as far as its type goes. `key`: the names in a record. `closed`: numbers, choices, yes and no, null. */
  readonly takes: "text" | "any" | "key" | "closed";
}

const closed: ReadonlySet<unknown> = new Set(["number", "integer", "boolean", "null"]);

type Schema = { readonly [key: string]: unknown };

export function leavesOf(action: Action): readonly Leaf[] {
  const options = { io: "input", unrepresentable: "any" } as const;
  return within(z.toJSONSchema(action.input as unknown as z.ZodType, options) as Schema, []);
}

function within(schema: Schema, path: readonly string[]): readonly Leaf[] {
  const { type, properties, items, additionalProperties, anyOf } = schema;
  if (type === "object" && properties) {
    return Object.entries(properties).flatMap(([name, inner]) => within(inner as Schema, [...path, name]));
  }
  if (type === "object" && additionalProperties) {
    return [{ path, takes: "key" }, ...within(additionalProperties as Schema, [...path, "{}"])];
  }
  if (type === "object") return [];
  if (type === "array") return within(items as Schema, [...path, "[]"]);
  if (Array.isArray(anyOf)) {
    const each = anyOf.flatMap((one) => within(one as Schema, path));
    return [each.find(({ takes }) => takes !== "closed") ?? { path, takes: "closed" }];
  }
  if (type === "string") return [{ path, takes: schema["enum"] ? "closed" : "text" }];
  if (type !== undefined && [type].flat().every((one) => closed.has(one))) return [{ path, takes: "closed" }];
  // JSON of any shape.
  return [{ path, takes: "any" }];
}

/** The input with `value` at the leaf; null where the input has nothing there. For a key the first name is replaced. */
export function withAt(input: unknown, { path, takes }: Leaf, value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined && takes !== "key") return value;
  if (typeof input !== "object" || input === null) return null;
  if (step === undefined) {
    const [[, first] = [], ...others] = Object.entries(input);
    return first === undefined ? null : Object.fromEntries([[value as string, first], ...others]);
  }
  const name = step === "[]" ? "0" : step === "{}" ? (Object.keys(input)[0] ?? "") : step;
  if (!Object.hasOwn(input, name)) return null;
  const inner = withAt((input as Record<string, unknown>)[name], { path: rest, takes }, value);
  if (inner === null) return null;
  if (Array.isArray(input)) return [inner, ...input.slice(1)];
  return { ...input, [name]: inner };
}
