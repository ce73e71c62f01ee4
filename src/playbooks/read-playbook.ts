/** Reads the text of one playbook part by part, so that a mistake in one part does not hide those in the others. */

import type { ActionRegistry } from "../domain/action.ts";
import { parseDuration } from "../domain/duration.ts";
import type { Budget, InputDeclaration, Playbook, Step, TargetChoice } from "../domain/playbook.ts";
import type { Target } from "../domain/target.ts";
import { dyn, type ValueType } from "./cel-types.ts";
import {
  compileCheck,
  compileStep,
  type LoadedCheck,
  type LoadedStep,
  outputType,
  type Surroundings,
} from "./compile-step.ts";
import type { Matcher } from "./matcher.ts";
import { hint } from "./near.ts";
import {
  asMap,
  known,
  type Notes,
  parse,
  type Raw,
  readField,
  readItem,
  readList,
  reportUnknownKeys,
} from "./parse-part.ts";
import { compileStarts } from "./playbook-on.ts";
import { type LoadedNotify, type PeopleWorld, readPeople } from "./read-people.ts";
import type { Occurrences } from "./schedule.ts";
import { checkSchema, playbookFields, startsSchema, stepSchema } from "./schema.ts";
import { readYaml, type YamlPath } from "./yaml-source.ts";

/** What playbooks are checked against. */
export interface PlaybookWorld extends PeopleWorld {
  readonly actions: ActionRegistry;
  readonly targets: readonly Pick<Target, "name" | "labels">[];
}

/** What is wrong with a playbook. An error keeps the process from starting; a warning does not. */
export interface PlaybookProblem {
  /** From 1. */
  readonly line: number;
  readonly message: string;
  readonly severity: "error" | "warning";
}

/** What was read of a text. */
export interface ReadPlaybook {
  /** Null where there is none that could be used. */
  readonly name: { readonly text: string; readonly line: number } | null;
  /** Null where there is an error among the problems. */
  readonly loaded: {
    readonly playbook: Omit<Playbook, "hash" | "source">;
    readonly compiled: {
      readonly matchers: readonly Matcher[] | null;
      readonly occurrences: Occurrences | null;
      readonly steps: ReadonlyMap<string, LoadedStep>;
      readonly checks: readonly LoadedCheck[];
      readonly notify: readonly LoadedNotify[];
    };
  } | null;
  readonly problems: readonly PlaybookProblem[];
}

interface Reading extends Notes {
  readonly world: PlaybookWorld;
}

/** Reads and compiles the text. Every problem is reported, not only the first. */
export function readPlaybook(text: string, world: PlaybookWorld): ReadPlaybook {
  const yaml = readYaml(text);
  if (!yaml.ok) {
    return { name: null, loaded: null, problems: yaml.problems.map((problem) => ({ ...problem, severity: "error" })) };
  }
  const problems: PlaybookProblem[] = [];
  const note = (severity: "error" | "warning") => (path: YamlPath, message: string) => {
    problems.push({ line: yaml.lineOf(path), message, severity });
  };
  const reading: Reading = { world, error: note("error"), warn: note("warning") };
  const raw = asMap(yaml.value);
  if (raw === null) {
    reading.error([], "not a playbook: the file must hold name, summary, on and steps");
    return { name: null, loaded: null, problems };
  }
  const name = readField(raw, "name", reading);
  const loaded = readParts(raw, name, reading);
  return {
    name: name === undefined ? null : { text: name, line: yaml.lineOf(["name"]) },
    loaded: problems.some(({ severity }) => severity === "error") ? null : loaded,
    problems,
  };
}

function readParts(raw: Raw, name: string | undefined, reading: Reading): ReadPlaybook["loaded"] {
  reportUnknownKeys(raw, playbookFields, [], reading);
  const summary = readField(raw, "summary", reading);
  const starts = readStarts(raw, reading);
  const target = readTarget(raw, reading);
  if (target !== null && "label" in target && starts?.on.schedule) {
    reading.error(["target"], "a schedule has no alert whose label selects a target; name the target");
  }
  const cooldown = readField(raw, "cooldown", reading);
  const budget = readField(raw, "budget", reading);
  const onResolved = readField(raw, "on_resolved", reading);
  const during = readField(raw, "during", reading);
  const inputs = starts?.on.request?.inputs ?? {};
  const { steps, types, optional } = readSteps(raw, inputs, reading);
  const around = { steps: types, optionalSteps: optional, laterSteps: new Set<string>(), inputs };
  const checks = readChecks(raw, around, reading);
  const loadedAll = steps.length > 0 && steps.length === types.size;
  const changesNothing = loadedAll && !steps.some(({ step }) => changesTarget(step));
  if (loadedAll && (starts?.on.request || starts?.on.schedule)) warnOfNoEnd(steps, reading);
  const { notify, ...people } = readPeople(raw, { steps: types, inputs, changesNothing }, reading.world, reading);
  if (raw["verify"] === undefined && steps.some(({ step }) => changesTarget(step))) {
    reading.warn(["name"], "no verify: a run that changes something can only end unknown; say how success is measured");
  }
  if (raw["escalate"] === undefined && steps.some(({ step }) => mayAsk(step, budget !== undefined))) {
    reading.warn(
      ["name"],
      "no escalate: nobody hears of a change that waits for approval where it cannot be asked for in Slack; name a policy",
    );
  }
  if (people.escalate !== null && people.escalate.holdMs !== null && raw["verify"] === undefined) {
    reading.error(
      ["escalate"],
      "hold needs verify: without it nothing is ever verifiably fixed; add verify or leave hold out",
    );
  }
  if (name === undefined || summary === undefined || starts === null) return null;
  return {
    playbook: {
      name,
      summary,
      on: starts.on,
      target,
      cooldownMs: cooldown === undefined ? null : parseDuration(cooldown),
      budget: (budget ?? []).map(budgetOf),
      onResolved: onResolved ?? "stop",
      ...(during && { during }),
      steps: steps.map(({ step }) => step),
      verify: checks.map(({ check }) => check),
      ...people,
      notify: notify.map(({ entry }) => entry),
    },
    compiled: {
      matchers: starts.matchers,
      occurrences: starts.occurrences,
      steps: new Map(steps.map((loaded) => [loaded.step.id, loaded])),
      checks,
      notify,
    },
  };
}

function changesTarget(step: Step): boolean {
  return step.kind === "change" && !step.tells;
}

/** Whether people may have to approve the step: by itself, or since a budget is spent. */
function mayAsk(step: Step, hasBudget: boolean): boolean {
  if (step.kind !== "change" || !changesTarget(step)) return false;
  if (step.approval === "always" || step.risk === "irreversible" || hasBudget) return true;
  return step.approval !== "never" && step.risk === "high";
}

function warnOfNoEnd(steps: readonly LoadedStep[], reading: Reading): void {
  for (const [at, { step }] of steps.entries()) {
    if (step.kind !== "change" || !step.revert?.onResolved || step.revert.afterMs !== null) continue;
    if (step.revert.onEnd?.includes("verified")) continue;
    reading.warn(
      ["steps", at, "revert_on"],
      "a run that somebody asks for, or that is due, has no alert that could resolve; give revert_after, too, or what is changed stays until somebody has it put back",
    );
  }
}

function readStarts(raw: Raw, reading: Reading): ReturnType<typeof compileStarts> | null {
  const on = asMap(raw["on"]);
  if (on === null) {
    const found = raw["on"] === undefined ? "is missing" : "must say alerts or request";
    reading.error(["on"], `on ${found}: what starts this playbook`);
    return null;
  }
  reportUnknownKeys(on, startsSchema.shape, ["on"], reading);
  const parsed = parse(startsSchema, known(on, startsSchema.shape), ["on"], reading);
  return parsed === undefined
    ? null
    : compileStarts(parsed, (path, message) => reading.error(["on", ...path], message));
}

function readTarget(raw: Raw, reading: Reading): TargetChoice | null {
  const target = readField(raw, "target", reading);
  if (target === undefined) return null;
  const { targets } = reading.world;
  const choice: TargetChoice = typeof target === "string" ? { name: target } : target;
  if ("label" in choice) {
    const labels = new Set(targets.flatMap((one) => Object.keys(one.labels)));
    if (!labels.has(choice.label)) {
      reading.error(
        ["target"],
        `no target of the configuration has the label '${choice.label}'${hint(choice.label, labels)}`,
      );
    }
  } else if (!targets.some((one) => one.name === choice.name)) {
    const names = targets.map((one) => one.name);
    reading.error(["target"], `the configuration has no target '${choice.name}'${hint(choice.name, names)}`);
  }
  return choice;
}

interface ReadSteps {
  readonly steps: readonly LoadedStep[];
  readonly types: ReadonlyMap<string, ValueType>;
  readonly optional: ReadonlySet<string>;
}

function readSteps(raw: Raw, inputs: Readonly<Record<string, InputDeclaration>>, reading: Reading): ReadSteps {
  const { world } = reading;
  const steps: LoadedStep[] = [];
  const types = new Map<string, ValueType>();
  const optional = new Set<string>();
  const items = readList(raw, "steps", reading);
  const ids = items.map((item) => asMap(item)?.["id"]).filter((id) => typeof id === "string");
  items.forEach((item, at) => {
    const path: YamlPath = ["steps", at];
    const step = readItem(item, stepSchema, { id: "unnamed" }, path, reading);
    if (step !== undefined) {
      const laterSteps = new Set(ids.filter((id) => !types.has(id)));
      const around = { steps: types, optionalSteps: optional, laterSteps, inputs };
      const loaded = compileStep(step, world.actions, around, (inside, message) => {
        reading.error([...path, ...inside], message);
      });
      if (loaded !== null) steps.push(loaded);
    }
    // Even a step with mistakes exists, so that references to it are not reported as well.
    const { id, do: action } = asMap(item) ?? {};
    if (typeof id !== "string") return;
    if (step?.optional) optional.add(id);
    if (types.has(id)) reading.error([...path, "id"], `there is already a step '${id}'; ids are unique in a playbook`);
    else types.set(id, typeof action === "string" ? outputType(world.actions.get(action) ?? null) : dyn);
  });
  return { steps, types, optional };
}

function readChecks(raw: Raw, around: Surroundings, reading: Reading): readonly LoadedCheck[] {
  return readList(raw, "verify", reading).flatMap((item, at) => {
    const path: YamlPath = ["verify", at];
    const check = readItem(item, checkSchema, { expect: "true" }, path, reading);
    if (check === undefined) return [];
    const loaded = compileCheck(check, reading.world.actions, around, (inside, message) => {
      reading.error([...path, ...inside], message);
    });
    return loaded === null ? [] : [loaded];
  });
}

function budgetOf(text: string): Budget {
  const [limit, window] = text.split("/");
  return { limit: Number(limit), windowMs: parseDuration(window ?? "") ?? 0 };
}
