/** Carries out one decision by calling the action, within its time, and says as events what came of it. The one place where an action's bug is caught. */

import type { Action, ActionContext, ChangeAction, Failure, ObserveAction } from "../domain/action.ts";
import type { Happening } from "../domain/event.ts";
import type { Json } from "../domain/json.ts";
import type { ChangeStep, Step } from "../domain/playbook.ts";
import type { Progress } from "../domain/progress.ts";
import { storable } from "../domain/writable.ts";
import { digestOf } from "./digest.ts";
import type { Text } from "./expression.ts";
import type { LoadedPlaybook } from "./load.ts";

/** What performing needs besides the step. */
export interface Performance {
  readonly loaded: LoadedPlaybook;
  readonly values: Values;
  /** What an action may know, and what is to be called once it has come back. */
  readonly context: (timeoutMs: number, step?: string) => { readonly context: ActionContext; release(): void };
  readonly stepEnded: (action: string, result: string, durationMs: number) => void;
}

/** What expressions may refer to. */
export interface Values {
  readonly steps: Readonly<Record<string, Json>>;
  readonly inputs: Readonly<Record<string, Json>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly target: string | null;
}

/** How long an action may take to come back after its signal aborted, before it is given up. */
const graceMs = 2_000;

/** Looks, or says that the condition does not hold. */
export async function observe(performance: Performance, step: Step, progress: Progress): Promise<Happening> {
  const prepared = prepare(performance, step, progress, "observe");
  if ("type" in prepared) return prepared;
  const action = prepared.action as ObserveAction;
  const started = Date.now();
  const answer = await attempt(performance, step, (context) => action.observe(prepared.input, context));
  const durationMs = Date.now() - started;
  const seen = settle(answer);
  performance.stepEnded(step.do, seen.ok ? "observed" : "failed", durationMs);
  if (!seen.ok) return failedStep(step, "observe", seen);
  const output = checkedOutput(action, seen.value.output);
  if (!output.ok)
    return { type: "step-failed", step: step.id, during: "observe", reason: output.reason, retryable: false };
  const found = foundBy(performance.loaded.steps.get(step.id)?.found ?? null, performance.values, output.value);
  return { type: "step-observed", step: step.id, output: output.value, ...found, durationMs };
}

/** Finds out what would change, or says that the condition does not hold. */
export async function plan(performance: Performance, step: ChangeStep, progress: Progress): Promise<Happening> {
  const prepared = prepare(performance, step, progress, "plan");
  if ("type" in prepared) return prepared;
  const action = prepared.action as ChangeAction;
  const started = Date.now();
  const answer = await attempt(performance, step, (context) => action.plan(prepared.input, context));
  const durationMs = Date.now() - started;
  const planned = settle(answer);
  if (!planned.ok) {
    performance.stepEnded(step.do, "failed", durationMs);
    return failedStep(step, "plan", planned);
  }
  return {
    type: "step-planned",
    step: step.id,
    digest: digestOf(step.do, performance.values.target, planned.value.plan),
    plan: planned.value.plan,
    effects: planned.value.effects,
    durationMs,
  };
}

/** Carries out a plan whose intent is stored. A throw or a time-out leaves the effect in doubt. */
export async function apply(performance: Performance, step: ChangeStep, plan: Json): Promise<Happening> {
  const action = actionOf(performance, step) as ChangeAction;
  const started = Date.now();
  const answer = await attempt(performance, step, (context) => action.apply(plan, context));
  const durationMs = Date.now() - started;
  if (!answer.ok) {
    performance.stepEnded(step.do, "in-doubt", durationMs);
    return { type: "step-in-doubt", step: step.id, reason: answer.reason };
  }
  const outcome = answer.value;
  performance.stepEnded(step.do, outcome.status, durationMs);
  if (outcome.status === "done") {
    const { result, report } = outcome;
    return { type: "step-finished", step: step.id, result, durationMs, ...(report && { report }) };
  }
  if (outcome.status === "unknown") return { type: "step-in-doubt", step: step.id, reason: outcome.reason };
  return { type: "step-failed", step: step.id, during: "apply", reason: outcome.reason, retryable: outcome.retryable };
}

/** Asks the system whether a plan whose effect is in doubt was carried out. */
export async function probe(performance: Performance, step: ChangeStep, plan: Json): Promise<Happening> {
  const action = actionOf(performance, step) as ChangeAction;
  if (!action.probe) return { type: "step-probed", step: step.id, answer: "unknown" };
  const ask = action.probe.bind(action);
  const answer = await attempt(performance, step, (context) => ask(plan, context));
  if (!answer.ok)
    return { type: "step-failed", step: step.id, during: "probe", reason: answer.reason, retryable: true };
  return { type: "step-probed", step: step.id, answer: answer.value };
}

/** Measures one check of the verification. */
export async function verify(performance: Performance, index: number): Promise<Happening> {
  const check = performance.loaded.checks[index];
  if (!check) throw new Error(`the playbook has no check ${index}`);
  const failed = (reason: string, output: Json = null): Happening => ({
    type: "verification-checked",
    check: index,
    passed: false,
    output,
    reason,
  });
  const input = check.input(performance.values);
  if (!input.ok) return failed(input.error);
  const action = check.action as ObserveAction;
  const answer = await attempt(performance, check.check, (context) => action.observe(input.input, context));
  const seen = settle(answer);
  if (!seen.ok) return failed(seen.reason);
  const output = checkedOutput(action, seen.value.output);
  if (!output.ok) return failed(output.reason);
  const expected = check.expect({ ...performance.values, output: output.value });
  if (!expected.ok) return failed(expected.error, output.value);
  const found = foundBy(check.found, performance.values, output.value);
  return {
    type: "verification-checked",
    check: index,
    passed: expected.value,
    output: output.value,
    ...found,
    reason: null,
  };
}

const longestFound = 500;

/** What was seen, in the playbook's words. That they cannot be made is said in their place: it must not end the run. */
function foundBy(text: Text | null, values: Values, output: Json): { readonly found?: string } {
  if (text === null) return {};
  const told = text({ ...values, output });
  const words = told.ok ? told.value : `it cannot be told (${told.error})`;
  return {
    found: words
      .replaceAll(/\p{Cc}+/gu, " ")
      .toWellFormed()
      .slice(0, longestFound)
      .toWellFormed(),
  };
}

function failedStep(
  step: Step,
  during: "observe" | "plan",
  failure: { readonly reason: string; readonly retryable: boolean },
): Happening {
  return { type: "step-failed", step: step.id, during, reason: failure.reason, retryable: failure.retryable };
}

function actionOf(performance: Performance, step: Step): Action {
  const loaded = performance.loaded.steps.get(step.id);
  if (!loaded) throw new Error(`the playbook has no step '${step.id}'`);
  return loaded.action;
}

/** The condition, once, and the input; or the event that says why there is none. */
function prepare(
  performance: Performance,
  step: Step,
  progress: Progress,
  during: "observe" | "plan",
): { readonly action: Action; readonly input: unknown } | Happening {
  const loaded = performance.loaded.steps.get(step.id);
  if (!loaded) throw new Error(`the playbook has no step '${step.id}'`);
  const before = progress.steps.get(step.id);
  const first = before === undefined || (before.digest === null && before.state !== "in-doubt");
  if (loaded.condition && first) {
    const met = loaded.condition(performance.values);
    if (!met.ok) {
      return { type: "step-failed", step: step.id, during: "condition", reason: met.error, retryable: false };
    }
    if (!met.value) return { type: "step-skipped", step: step.id, condition: step.if ?? "" };
  }
  const input = loaded.input(performance.values);
  if (!input.ok) return { type: "step-failed", step: step.id, during, reason: input.error, retryable: false };
  return { action: loaded.action, input: input.input };
}

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

async function attempt<T>(
  performance: Performance,
  { timeoutMs, id }: { readonly timeoutMs: number; readonly id?: string },
  call: (context: ActionContext) => Promise<T>,
): Promise<Attempt<T>> {
  const { context, release } = performance.context(timeoutMs, id);
  try {
    // What is hashed, shown and carried out is what will be read again after a crash.
    return { ok: true, value: storable(await Promise.race([call(context), overdue(context.signal)])) };
  } catch (error) {
    const cause = context.signal.aborted ? (context.signal.reason as Error) : (error as Error);
    const reason =
      cause?.name === "TimeoutError" ? `it took longer than ${timeoutMs / 1000} s` : (cause?.message ?? String(cause));
    return { ok: false, reason };
  } finally {
    release();
  }
}

/** Rejects some time after the signal aborted, for actions that do not come back. */
function overdue(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const give = () => setTimeout(() => reject(signal.reason), graceMs).unref();
    if (signal.aborted) give();
    else signal.addEventListener("abort", give, { once: true });
  });
}

/** Tells a good answer from an expected failure and from a throw; what threw may work the next time. */
function settle<T extends { readonly status: string }>(
  answer: Attempt<T | Failure>,
):
  | { readonly ok: true; readonly value: Exclude<T, Failure> }
  | { readonly ok: false; readonly reason: string; readonly retryable: boolean } {
  if (!answer.ok) return { ok: false, reason: answer.reason, retryable: true };
  if (answer.value.status !== "failed") return { ok: true, value: answer.value as Exclude<T, Failure> };
  const { reason, retryable } = answer.value as Failure;
  return { ok: false, reason, retryable };
}

function checkedOutput(
  action: ObserveAction,
  output: unknown,
): { readonly ok: true; readonly value: Json } | { readonly ok: false; readonly reason: string } {
  const checked = action.output.safeParse(output);
  if (checked.success) return { ok: true, value: checked.data as Json };
  const issue = checked.error.issues[0];
  return {
    ok: false,
    reason: `${action.name} returned what it does not promise: ${issue?.path.join(".")} ${issue?.message}`,
  };
}
