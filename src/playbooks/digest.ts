/** The hash of a plan that a person approves: equal for equal plans, whatever the order of their keys. */

import { createHash } from "node:crypto";
import type { Json } from "../domain/json.ts";

/** `sha256:` and the hexadecimal hash of the action, the target and the plan, in one canonical JSON text. */
export function digestOf(action: string, target: string | null, plan: Json): string {
  const text = canonical({ action, target, plan });
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

function canonical(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const entries = Object.entries(value as { readonly [key: string]: Json })
    .filter(([, one]) => one !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(",")}}`;
}
