/** The inputs of a request, checked against what the playbook declares. */

import type { Json, JsonObject } from "../domain/json.ts";
import type { InputDeclaration, Playbook } from "../domain/playbook.ts";
import { hint } from "./near.ts";

/** What is wrong with one field of a request's inputs. */
export interface InputProblem {
  readonly field: string;
  readonly message: string;
}

export type CheckedInputs =
  | { readonly ok: true; readonly inputs: JsonObject }
  | { readonly ok: false; readonly problems: readonly InputProblem[] };

const longestString = 1_000;

/** A request can be wrong in a hundred thousand ways; its answer names so many, and finding near names takes time. */
const mostProblems = 20;
const mostHints = 5;
const longestName = 100;

/**
 * Checks what a request gives, strictly: nothing unknown, nothing converted. Defaults are filled in.
 * An input that is neither required nor given stays absent.
 */
export function checkInputs(playbook: Playbook, given: unknown): CheckedInputs {
  if (playbook.on.request === null) {
    return refused([{ field: "playbook", message: `playbook '${playbook.name}' cannot be started by a request` }]);
  }
  const declared = playbook.on.request.inputs;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return refused([{ field: "inputs", message: "must be an object" }]);
  }
  const fields = new Map<string, unknown>(Object.entries(given));
  const names = Object.keys(declared);
  const unknown = [...fields.keys()].filter((field) => !Object.hasOwn(declared, field));
  const problems = unknown.slice(0, mostProblems).map((name, index): InputProblem => {
    const field = name.length > longestName ? `${name.slice(0, longestName)}…` : name;
    return { field, message: `unknown input '${field}'${index < mostHints ? hint(field, names) : ""}` };
  });
  const inputs: [string, Json][] = [];
  for (const [field, declaration] of Object.entries(declared)) {
    const value = fields.has(field) ? fields.get(field) : declaration.default;
    if (value === null && !fields.has(field)) {
      if (declaration.required) problems.push({ field, message: "is missing" });
      continue;
    }
    const wrong = wrongValue(declaration, value);
    if (wrong === null) inputs.push([field, value as Json]);
    else problems.push({ field, message: wrong });
  }
  const all = problems.length + Math.max(0, unknown.length - mostProblems);
  return all > 0 ? refused(problems, all) : { ok: true, inputs: Object.fromEntries(inputs) };
}

/** What is wrong with a value for this input; null where nothing is. */
export function wrongValue(declaration: Pick<InputDeclaration, "type">, value: unknown): string | null {
  switch (declaration.type) {
    case "string":
      if (typeof value !== "string") return "must be a string";
      return value.length > longestString ? `longer than ${longestString} characters` : null;
    case "number":
      return typeof value === "number" && Number.isFinite(value) ? null : "must be a number";
    case "integer":
      return Number.isSafeInteger(value) ? null : "must be a whole number";
    case "boolean":
      return typeof value === "boolean" ? null : "must be true or false";
  }
}

/** Refuses with the first problems; where there are more, the last one says how many. */
function refused(problems: readonly InputProblem[], all = problems.length): CheckedInputs {
  if (all <= mostProblems) return { ok: false, problems };
  const shown = problems.slice(0, mostProblems - 1);
  const message = `there are ${all - shown.length} more problems; correct these first`;
  return { ok: false, problems: [...shown, { field: "inputs", message }] };
}
