/** Parses the parts of a playbook against their schemas and puts what is wrong with them into sentences. */

import * as z from "zod";
import { hint } from "./near.ts";
import { playbookFields } from "./schema.ts";
import type { YamlPath } from "./yaml-source.ts";

/** A map as YAML gives it. */
export type Raw = Readonly<Record<string, unknown>>;

/** Where what is wrong goes. */
export interface Notes {
  error(path: YamlPath, message: string): void;
  warn(path: YamlPath, message: string): void;
}

type Fields = typeof playbookFields;

/** One field of a playbook, whose schema says whether it may be left out. */
export function readField<K extends keyof Fields>(raw: Raw, key: K, notes: Notes): z.infer<Fields[K]> | undefined {
  return parse(playbookFields[key] as z.ZodType as z.ZodType<z.infer<Fields[K]>>, raw[key], [key], notes);
}

/** The items of a list, which are checked one by one. */
export function readList(raw: Raw, key: keyof typeof lists, notes: Notes): readonly unknown[] {
  const { what, least, most } = lists[key];
  const value = raw[key];
  if (value === undefined && least === 0) return [];
  const bounds = z
    .array(z.unknown(), { error: `must be a list of ${what}` })
    .min(least, { error: "is empty; a playbook has at least one step" })
    .max(most, { error: "has too many entries" });
  return parse(bounds, value, [key], notes) ?? [];
}

const lists = {
  steps: { what: "steps", least: 1, most: 50 },
  verify: { what: "checks", least: 0, most: 10 },
  notify: { what: "{ tell, if }", least: 0, most: 20 },
} as const;

/** A map in a list. `standIns` take the place of required fields that are wrong, so that the rest of the item is checked as well. */
export function readItem<T>(
  item: unknown,
  schema: z.ZodType<T> & { readonly shape: Raw },
  standIns: Raw,
  path: YamlPath,
  notes: Notes,
): T | undefined {
  const map = asMap(item);
  if (map === null) {
    notes.error(path, `${nameOf(path)} must be a map with ${Object.keys(schema.shape).join(", ")}`);
    return undefined;
  }
  reportUnknownKeys(map, schema.shape, path, notes);
  const fields = known(map, schema.shape);
  const parsed = parse(schema, fields, path, notes);
  if (parsed !== undefined) return parsed;
  const wrong = new Set(schema.safeParse(fields).error?.issues.map((issue) => issue.path[0]));
  const right = Object.entries(fields).filter(([key]) => !wrong.has(key));
  return schema.safeParse({ ...standIns, ...Object.fromEntries(right) }).data;
}

/** What the schema makes of the value; undefined where something is wrong with it, which is reported. */
export function parse<T>(schema: z.ZodType<T>, value: unknown, path: YamlPath, notes: Notes): T | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const told = new Set<string>();
  for (const issue of result.error.issues) {
    const inside = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
    const at = [...path, ...inside];
    const name = nameOf(at);
    // The first thing that is wrong with a value; the others follow from it.
    if (told.has(name)) continue;
    told.add(name);
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) notes.error([...at, key], `unknown key '${key}' in ${name}`);
    } else {
      const missing = valueAt(value, inside) === undefined;
      notes.error(at, `${name} ${missing ? "is missing" : sentenceOf(issue)}`);
    }
  }
  return undefined;
}

/** Continues a sentence that begins with the name of the field, as the messages of the schema do. */
function sentenceOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_key") return issue.issues[0]?.message ?? "has a key that is not allowed";
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid input")) {
    return `must be ${issue.expected === "object" || issue.expected === "record" ? "a map" : `a ${issue.expected}`}`;
  }
  return issue.message;
}

const mostUnknownKeys = 20;

/** Reports keys that mean nothing, with what was probably meant. */
export function reportUnknownKeys(raw: Raw, shape: Raw, path: YamlPath, notes: Notes): void {
  const unknown = Object.keys(raw).filter((key) => !Object.hasOwn(shape, key));
  const where = path.length === 0 ? "" : ` in ${nameOf(path)}`;
  // A map of thousands of keys is no playbook at all; finding the line of each would take long.
  for (const key of unknown.slice(0, mostUnknownKeys)) {
    notes.error([...path, key], `unknown key '${key}'${where}${hint(key, Object.keys(shape))}`);
  }
}

/** The keys that mean something. */
export function known(raw: Raw, shape: Raw): Raw {
  return Object.fromEntries(Object.entries(raw).filter(([key]) => Object.hasOwn(shape, key)));
}

function nameOf(path: YamlPath): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === "number") return `${name}[${part}]`;
    return name === "" ? part : `${name}.${part}`;
  }, "");
}

function valueAt(value: unknown, path: YamlPath): unknown {
  let here = value;
  for (const part of path) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, part)) return undefined;
    here = (here as Readonly<Record<string | number, unknown>>)[part];
  }
  return here;
}

/** The value where it is a map. */
export function asMap(value: unknown): Raw | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Raw) : null;
}
