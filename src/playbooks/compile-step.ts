/** Compiles steps and checks against the actions they use: condition, input, types. */

import type * as z from "zod";
import type { Action, ActionRegistry, ChangeAction, ObserveAction } from "../domain/action.ts";
import { parseDuration } from "../domain/duration.ts";
import type { JsonObject } from "../domain/json.ts";
import type { Check, InputDeclaration, Revert, Step } from "../domain/playbook.ts";
import { dyn, jsonSchemaOf, type ValueType, valueTypeOf } from "./cel-types.ts";
import { type Condition, compileCondition, compileText, type Scope, stepsAskedFor, type Text } from "./expression.ts";
import { hint } from "./near.ts";
import type { checkSchema, stepSchema } from "./schema.ts";
import { compileTemplate, type StepInput } from "./template.ts";
import type { YamlPath } from "./yaml-source.ts";

/** A step with what runs it. */
export interface LoadedStep {
  readonly step: Step;
  readonly action: Action;
  /** Null: always. */
  readonly condition: Condition | null;
  readonly input: StepInput;
  /** To be called with what was seen as `output`; null where the playbook says nothing of it. */
  readonly found: Text | null;
}

/** A check of the verification with what runs it. */
export interface LoadedCheck {
  readonly check: Check;
  readonly action: ObserveAction;
  readonly input: StepInput;
  /** To be called with the observation as `output`. */
  readonly expect: Condition;
  /** As that of a step. */
  readonly found: Text | null;
}

/** Reports one problem; the path leads from the step or check to what is wrong. */
export type Report = (path: YamlPath, message: string) => void;

/** What the steps before this one, and the ones after it, are to expressions. */
export interface Surroundings {
  readonly steps: ReadonlyMap<string, ValueType>;
  readonly laterSteps: ReadonlySet<string>;
  readonly optionalSteps: ReadonlySet<string>;
  readonly inputs: Readonly<Record<string, InputDeclaration>>;
}

const defaultTimeoutMs = 60_000;
const defaultWithinMs = 60_000;
/** Of one `with`: what follows after so many helps nobody. */
const mostProblems = 20;

/** The step, or null where something is wrong with it. */
export function compileStep(
  raw: z.infer<typeof stepSchema>,
  actions: ActionRegistry,
  around: Surroundings,
  report: Report,
): LoadedStep | null {
  const action = findAction(raw.do, actions, report);
  const scope: Scope = { ...around, place: "condition", output: null };
  const condition = raw.if === undefined ? null : conditionOf(raw.if, scope, "if", report);
  if (action === null) return null;
  // What the condition asks for is there where it holds.
  const asked = raw.if === undefined ? new Set<string>() : stepsAskedFor(raw.if);
  const optionalSteps = new Set([...around.optionalSteps].filter((id) => !asked.has(id)));
  const input = templateOf(raw.with, action, { ...scope, optionalSteps }, report);
  const base = {
    id: raw.id,
    do: raw.do,
    if: raw.if ?? null,
    with: (raw.with ?? {}) as JsonObject,
    timeoutMs: milliseconds(raw.timeout) ?? defaultTimeoutMs,
    onHost: action.onHost ?? false,
  };
  if (action.kind === "observe") {
    for (const key of ["revert_after", "revert_on"] as const) {
      if (raw[key] === undefined) continue;
      report([key], `${action.name} only observes, so there is nothing to put back; leave ${key} out`);
      return null;
    }
    if (raw.approval !== undefined) {
      report(["approval"], `${action.name} only observes, so there is nothing to approve; leave approval out`);
      return null;
    }
    const found = textOf(raw.found, { ...scope, output: outputType(action) }, report);
    return condition === undefined || input === null || found === undefined
      ? null
      : {
          step: { ...base, kind: "observe", ...(raw.optional && { optional: true }) },
          action,
          condition,
          input,
          found,
        };
  }
  if (raw.optional) {
    report(["optional"], `${action.name} changes something, and a change that fails is for people; leave optional out`);
    return null;
  }
  if (raw.found !== undefined) {
    report(["found"], `${action.name} changes something and its effects say what; leave found out`);
    return null;
  }
  const risk = action.riskOf?.((raw.with ?? {}) as JsonObject) ?? action.risk;
  if (raw.approval === "never" && risk === "irreversible") {
    report(["approval"], `${action.name} cannot be undone, so approval: never is not allowed; use always or by-risk`);
    return null;
  }
  const revert = revertOf(raw, action, report);
  if (condition === undefined || input === null || revert === undefined) return null;
  const { repeat, tells } = action;
  const approval = raw.approval ?? "by-risk";
  const step: Step = { ...base, kind: "change", risk, repeat, ...(tells && { tells }), approval, revert };
  return { step, action, condition, input, found: null };
}

/** When what the step changed is put back; null: it stays; undefined: something is wrong with it. */
function revertOf(raw: z.infer<typeof stepSchema>, action: ChangeAction, report: Report): Revert | null | undefined {
  const { revert_after: after, revert_on: on } = raw;
  if (after === undefined && on === undefined) return null;
  if (action.revert) {
    const reasons = [on ?? []].flat();
    const onEnd = reasons.filter((one) => one !== "resolved");
    const onResolved = reasons.includes("resolved");
    return { afterMs: milliseconds(after), onResolved, ...(onEnd.length > 0 && { onEnd }) };
  }
  const key = after === undefined ? "revert_on" : "revert_after";
  report([key], `what ${action.name} changes cannot be put back; leave ${key} out`);
  return undefined;
}

/** The check, or null where something is wrong with it. */
export function compileCheck(
  raw: z.infer<typeof checkSchema>,
  actions: ActionRegistry,
  around: Surroundings,
  report: Report,
): LoadedCheck | null {
  const action = findAction(raw.do, actions, report);
  const observes = action?.kind === "observe" ? action : null;
  if (action !== null && observes === null) {
    report(["do"], `${action.name} changes something; verify takes actions that observe`);
  }
  const scope: Scope = { ...around, place: "condition", output: outputType(action) };
  const expect = conditionOf(raw.expect, scope, "expect", report);
  const found = textOf(raw.found, scope, report);
  const input = observes === null ? null : templateOf(raw.with, observes, { ...scope, output: null }, report);
  const withinMs = milliseconds(raw.within) ?? defaultWithinMs;
  const everyMs = milliseconds(raw.every) ?? Math.min(Math.max(withinMs / 10, 1_000), 15_000);
  if (raw.every !== undefined && everyMs > withinMs) {
    report(["every"], `every (${raw.every}) is longer than within (${raw.within ?? "1m"})`);
    return null;
  }
  if (observes === null || expect === undefined || input === null || found === undefined) return null;
  const check: Check = {
    do: raw.do,
    with: (raw.with ?? {}) as JsonObject,
    expect: raw.expect,
    withinMs,
    everyMs,
    timeoutMs: milliseconds(raw.timeout) ?? defaultTimeoutMs,
    onHost: observes.onHost ?? false,
  };
  return { check, action: observes, input, expect, found };
}

/** What `steps.<id>` is to expressions: what an observation sees; what a change results in is known only to the run. */
export function outputType(action: Action | null): ValueType {
  return action?.kind === "observe" ? valueTypeOf(jsonSchemaOf(action.output, "output")) : dyn;
}

function findAction(name: string, actions: ActionRegistry, report: Report): Action | null {
  const action = actions.get(name);
  if (action === undefined) report(["do"], `there is no action '${name}'${hint(name, actions.keys())}`);
  return action ?? null;
}

function conditionOf(source: string, scope: Scope, key: string, report: Report): Condition | undefined {
  const compiled = compileCondition(source, scope);
  if (compiled.ok) return compiled.condition;
  report([key], `${key}: ${compiled.message}`);
  return undefined;
}

function textOf(source: string | undefined, scope: Scope, report: Report): Text | null | undefined {
  if (source === undefined) return null;
  const compiled = compileText(source, scope);
  if (compiled.ok) return compiled.text;
  report(["found"], `found: ${compiled.message}`);
  return undefined;
}

function templateOf(raw: unknown, action: Action, scope: Scope, report: Report): StepInput | null {
  const compiled = compileTemplate((raw ?? {}) as JsonObject, { ...scope, place: "with" }, action.input);
  if (compiled.ok) return compiled.input;
  for (const { path, message } of compiled.problems.slice(0, mostProblems)) {
    report(
      raw === undefined ? [] : ["with", ...path],
      `with${path.length > 0 ? `.${path.join(".")}` : ""}: ${message}`,
    );
  }
  return null;
}

function milliseconds(duration: string | undefined): number | null {
  return duration === undefined ? null : parseDuration(duration);
}
