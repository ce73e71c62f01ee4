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
  const problems: InputProblem[] = [...fields.keys()]
    .filter((field) => !Object.hasOwn(declared, field))
    .map((field) => ({ field, message: `unknown input '${field}'${hint(field, Object.keys(declared))}` }));
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
  return problems.length > 0 ? refused(problems) : { ok: true, inputs: Object.fromEntries(inputs) };
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

function refused(problems: readonly InputProblem[]): CheckedInputs {
  return { ok: false, problems };
}
