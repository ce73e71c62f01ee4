/** The types that conditions are checked against: derived from the actions' schemas, carried into CEL with the values. */

import type { Environment } from "@marcbachmann/cel-js";
import * as z from "zod";

/** A type as conditions see it. All numbers are fractions to CEL; `dyn` is what cannot be known before the run. */
export type ValueType =
  | { readonly kind: "dyn" | "double" | "string" | "bool" }
  | { readonly kind: "list"; readonly of: ValueType }
  | { readonly kind: "map"; readonly of: ValueType }
  | { readonly kind: "object"; readonly fields: ReadonlyMap<string, ValueType> };

export const dyn: ValueType = { kind: "dyn" };

/** The few keywords of JSON Schema that matter here. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

// Every step that uses an action asks for the same ones.
const known = { input: new WeakMap<object, JsonSchema>(), output: new WeakMap<object, JsonSchema>() };

/** The JSON Schema of a zod schema, as it is before (`input`) or after (`output`) parsing; empty for anything else. */
export function jsonSchemaOf(schema: unknown, io: "input" | "output"): JsonSchema {
  if (!(schema instanceof z.ZodType)) return {};
  const before = known[io].get(schema);
  if (before !== undefined) return before;
  const json = z.toJSONSchema(schema, { io, unrepresentable: "any", reused: "inline", cycles: "ref" }) as JsonSchema;
  known[io].set(schema, json);
  return json;
}

/** What conditions may know of a value with this schema. */
export function valueTypeOf(schema: JsonSchema): ValueType {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) return common(alternatives.map(valueTypeOf));
  if (schema.const !== undefined) return typeOfLiteral(schema.const);
  if (schema.enum !== undefined) return common(schema.enum.map(typeOfLiteral));
  switch (schema.type) {
    case "number":
    case "integer":
      return { kind: "double" };
    case "string":
      return { kind: "string" };
    case "boolean":
      return { kind: "bool" };
    case "array":
      return { kind: "list", of: schema.items === undefined ? dyn : valueTypeOf(schema.items) };
    case "object":
      return typeOfObject(schema);
    default:
      return dyn;
  }
}

function typeOfObject(schema: JsonSchema): ValueType {
  const properties = Object.entries(schema.properties ?? {});
  if (properties.some(([name]) => !isFieldName(name))) return dyn;
  if (properties.length > 0) {
    return { kind: "object", fields: new Map(properties.map(([name, property]) => [name, valueTypeOf(property)])) };
  }
  const rest = schema.additionalProperties;
  return typeof rest === "object" ? { kind: "map", of: valueTypeOf(rest) } : dyn;
}

function typeOfLiteral(value: unknown): ValueType {
  if (typeof value === "string") return { kind: "string" };
  if (typeof value === "number") return { kind: "double" };
  return typeof value === "boolean" ? { kind: "bool" } : dyn;
}

function common(types: readonly ValueType[]): ValueType {
  const [first] = types;
  const plain = first !== undefined && (first.kind === "double" || first.kind === "string" || first.kind === "bool");
  return plain && types.every((type) => type.kind === first.kind) ? first : dyn;
}

const reservedWords = new Set(
  "as break const constructor continue else false for function if import in let loop namespace null package prototype return true var void while".split(
    " ",
  ),
);

/** Whether CEL can select a field of this name with a dot. */
export function isFieldName(name: string): boolean {
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) && name !== "__proto__" && !reservedWords.has(name);
}

/** A type made known to one environment: its name there, and how JSON becomes a value of it. */
export interface BoundType {
  readonly celName: string;
  toValue(json: unknown): unknown;
}

/** Registers what `type` needs under names that begin with `name`. */
export function bindType(environment: Environment, name: string, type: ValueType): BoundType {
  switch (type.kind) {
    case "list": {
      const of = bindType(environment, `${name}.item`, type.of);
      const toValue = (json: unknown) => (Array.isArray(json) ? json.map(of.toValue) : dynValue(json));
      return { celName: `list<${of.celName}>`, toValue };
    }
    case "map": {
      const of = bindType(environment, `${name}.value`, type.of);
      return { celName: `map<string, ${of.celName}>`, toValue: (json) => mapValue(json, of.toValue) };
    }
    case "object":
      return bindObject(environment, name, type.fields);
    default:
      return { celName: type.kind, toValue: dynValue };
  }
}

function bindObject(environment: Environment, name: string, fields: ReadonlyMap<string, ValueType>): BoundType {
  const bound = new Map([...fields].map(([field, type]) => [field, bindType(environment, `${name}.${field}`, type)]));
  const ObjectValue = class {};
  // Without this, a field named `toString` that is absent would be found on every value.
  Object.setPrototypeOf(ObjectValue.prototype, null);
  environment.registerType(name, {
    ctor: ObjectValue,
    fields: Object.fromEntries([...bound].map(([field, type]) => [field, type.celName])),
  });
  return {
    celName: name,
    toValue(json) {
      if (!isPlainObject(json)) return dynValue(json);
      const value = new ObjectValue();
      for (const [field, type] of bound) {
        if (!Object.hasOwn(json, field) || json[field] === undefined) continue;
        Object.defineProperty(value, field, { value: type.toValue(json[field]), enumerable: true });
      }
      return value;
    },
  };
}

function isPlainObject(json: unknown): json is Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function mapValue(json: unknown, toValue: (json: unknown) => unknown): unknown {
  // A Map: its keys may be named `__proto__` or `constructor` and mean nothing by it.
  return isPlainObject(json)
    ? new Map(Object.entries(json).map(([key, value]) => [key, toValue(value)]))
    : dynValue(json);
}

function dynValue(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(dynValue);
  return isPlainObject(json) ? mapValue(json, dynValue) : json;
}
