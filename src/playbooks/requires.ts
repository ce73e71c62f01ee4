/** What the inputs of a request must be together: one condition of the playbook over all of them. */

import type { JsonObject } from "../domain/json.ts";
import type { InputDeclaration, Playbook } from "../domain/playbook.ts";
import { type CompiledCondition, compileCondition } from "./expression.ts";

type Declared = Readonly<Record<string, InputDeclaration>>;

/** Compiles `on.requires`, which sees the inputs and nothing else. */
export function compileRequires(source: string, inputs: Declared): CompiledCondition {
  return compileCondition(source, { place: "with", steps: new Map(), laterSteps: new Set(), inputs, output: null });
}

/** Why inputs, each of which is right by itself, are not what the playbook requires; null: they are. */
export function whyNotTogether({ on: { request } }: Pick<Playbook, "on">, inputs: JsonObject): string | null {
  if (request?.requires === undefined) return null;
  const compiled = compileRequires(request.requires, request.inputs);
  const values = { steps: {}, inputs, labels: {}, annotations: {}, target: null };
  const met = compiled.ok ? compiled.condition(values) : { ok: false as const, error: compiled.message };
  if (met.ok && met.value) return null;
  const names = Object.keys(request.inputs).join(", ");
  return `${names} do not go together like this: the playbook requires ${request.requires}${met.ok ? "" : ` (${met.error})`}`;
}
