/** Checks what a playbook's `on` means: its matchers, and the inputs that requests give. */

import type * as z from "zod";
import type { InputDeclaration, Schedule, Starts } from "../domain/playbook.ts";
import { wrongValue } from "./inputs.ts";
import { type Matcher, parseMatchers, selectsEverything } from "./matcher.ts";
import { compileRequires, whyNotTogether } from "./requires.ts";
import { compileSchedule, type Occurrences } from "./schedule.ts";
import type { startsSchema } from "./schema.ts";
import type { YamlPath } from "./yaml-source.ts";

export interface CompiledStarts {
  readonly on: Starts;
  /** Null: alerts do not start the playbook. */
  readonly matchers: readonly Matcher[] | null;
  /** Null: it has no schedule. */
  readonly occurrences: Occurrences | null;
}

/** What may start the playbook. Reports what is wrong with it; the path leads from `on` to it. */
export function compileStarts(
  raw: z.infer<typeof startsSchema>,
  report: (path: YamlPath, message: string) => void,
): CompiledStarts {
  if (raw.alerts === undefined && raw.request === undefined && raw.schedule === undefined) {
    report([], "nothing starts this playbook; give it alerts, a schedule, or request: true");
  }
  const schedule = compileTimes(raw, report);
  if (raw.inputs !== undefined && raw.request === undefined) {
    report(["inputs"], "only requests give inputs; add request: true or leave inputs out");
  }
  const matchers = raw.alerts === undefined ? null : compileMatchers(raw.alerts, report);
  const inputs = Object.entries(raw.inputs ?? {}).map(([name, input]) => [name, declare(name, input, report)] as const);
  for (const [name, input] of inputs) {
    if ((raw.alerts === undefined && raw.schedule === undefined) || raw.request === undefined || !input.required)
      continue;
    report(["inputs", name], `input '${name}' needs a default or required: false, since only requests give inputs`);
  }
  const request = {
    inputs: Object.fromEntries(inputs),
    ...(raw.requires !== undefined && { requires: raw.requires }),
  };
  const apart = wrongRequires(raw, request);
  if (apart !== null) report(["requires"], apart);
  return {
    on: {
      alerts: raw.alerts ?? null,
      request: raw.request === undefined ? null : request,
      schedule: schedule?.schedule ?? null,
    },
    matchers,
    occurrences: schedule?.occurrences ?? null,
  };
}

/** What is wrong with `requires`; null: nothing. */
function wrongRequires(raw: z.infer<typeof startsSchema>, request: NonNullable<Starts["request"]>): string | null {
  if (raw.requires === undefined) return null;
  if (raw.request === undefined) return "only requests give inputs; add request: true or leave requires out";
  const compiled = compileRequires(raw.requires, request.inputs);
  if (!compiled.ok) return compiled.message;
  if (raw.alerts === undefined && raw.schedule === undefined) return null;
  const defaults = Object.entries(request.inputs).flatMap(([name, input]) =>
    input.default === null ? [] : [[name, input.default] as const],
  );
  return whyNotTogether({ on: { alerts: null, request } }, Object.fromEntries(defaults)) === null
    ? null
    : "requires does not hold without inputs, and only requests give inputs, no alert and no schedule";
}

function compileTimes(
  raw: z.infer<typeof startsSchema>,
  report: (path: YamlPath, message: string) => void,
): { readonly schedule: Schedule; readonly occurrences: Occurrences } | null {
  const { schedule: cron, timezone = "UTC", missed = "skip" } = raw;
  if (cron === undefined) {
    for (const key of ["timezone", "missed"] as const) {
      if (raw[key] !== undefined) report([key], `${key} is only for a schedule; add schedule or leave ${key} out`);
    }
    return null;
  }
  const compiled = compileSchedule(cron, timezone);
  if (compiled.ok) return { schedule: { cron, timezone, missed }, occurrences: compiled.occurrences };
  report([compiled.key], compiled.message);
  return null;
}

function compileMatchers(
  texts: readonly string[],
  report: (path: YamlPath, message: string) => void,
): readonly Matcher[] {
  const parsed = texts.map((text, at) => {
    const result = parseMatchers(text);
    if (!result.ok) report(["alerts", at], result.message);
    return result.ok ? result.matchers : null;
  });
  if (parsed.some((matchers) => matchers === null)) return [];
  const matchers = parsed.flatMap((some) => some ?? []);
  if (selectsEverything(matchers)) {
    report(
      ["alerts"],
      'these matchers select every alert, even one without labels; require at least one label value, such as alertname="DatabaseOverload"',
    );
  }
  return matchers;
}

type RawInput = NonNullable<z.infer<typeof startsSchema>["inputs"]>[string];

function declare(name: string, raw: RawInput, report: (path: YamlPath, message: string) => void): InputDeclaration {
  if (typeof raw === "string") return { type: raw, description: null, default: null, required: true };
  if (raw.default !== undefined) {
    const wrong = wrongValue(raw, raw.default);
    if (wrong !== null) report(["inputs", name, "default"], `the default of '${name}' ${wrong}`);
  }
  return {
    type: raw.type,
    description: raw.description ?? null,
    default: raw.default ?? null,
    required: raw.required ?? raw.default === undefined,
  };
}
