/** `systemd.set-environment`: sets allowed environment variables of a service, for its next start, and puts them back. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned, Restacked } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import { shorten } from "../postgres/query-text.ts";
import { isSecretName } from "../redact.ts";
import { dropInPath, dropInText, readDropIn, type UnitFolders, type Until, unitFolders } from "./drop-in.ts";
import { type FileChange, isAsPlanned, readText, replaceTexts } from "./drop-in-files.ts";
import { callSystemd, readUnit } from "./unit.ts";
import { serviceInput } from "./unit-input.ts";
import { type SystemdSettings, type UnitInHand, withUnit } from "./with-unit.ts";

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, "must be the name of one environment variable");
const value = z
  .string()
  .max(4_096)
  .refine((text) => !text.includes("\0") && text.isWellFormed(), "must be text without NUL");

const input = z.strictObject({
  /** One of the target's `systemd.units`. */
  unit: serviceInput,
  /** The variables and their values; each name stands in the target's `systemd.environment`. */
  variables: z
    .record(variable, value)
    .refine((variables) => Object.keys(variables).length > 0, "must name at least one variable")
    .refine((variables) => Object.keys(variables).length <= 20, "must name at most 20 variables"),
  /** `reboot`: gone after the next boot. `durable`: until it is reverted. */
  until: z.enum(["reboot", "durable"]).default("reboot"),
});

type Input = z.output<typeof input>;

interface PlannedVariable {
  readonly [key: string]: string | null;
  readonly name: string;
  readonly value: string;
  /** What Paramedic itself had set before, in the same place; null: nothing. */
  readonly before: string | null;
}

export interface EnvironmentPlan {
  readonly [key: string]: string | readonly PlannedVariable[];
  readonly unit: string;
  readonly until: Until;
  readonly variables: readonly PlannedVariable[];
}

/** `systemd.set-environment` over the given system bus; `folders` are others than the machine's own in tests. */
export function systemdSetEnvironment(
  settings: SystemdSettings,
  folders: UnitFolders = unitFolders,
): ChangeAction<Input, EnvironmentPlan> {
  const within = <T>(
    unit: string,
    names: readonly string[],
    context: ActionContext,
    use: (hand: UnitInHand) => Promise<T>,
  ) =>
    withUnit(
      context,
      settings,
      unit,
      async (inHand): Promise<T | Failure> => notAllowed(names, inHand) ?? (await use(inHand)),
    );
  const namesOf = ({ variables }: EnvironmentPlan) => variables.map(({ name }) => name);
  return {
    name: "systemd.set-environment",
    summary: "Sets environment variables of a service for its next start.",
    input,
    kind: "change",
    onHost: true,
    risk: "high",
    repeat: "safe",
    plan: (input, context) =>
      within(input.unit, Object.keys(input.variables), context, (inHand) => plan(input, inHand, folders)),
    apply: (plan, context) =>
      within(plan.unit, namesOf(plan), context, (inHand) => apply(plan, inHand, folders, context)),
    revert: (plan, context) =>
      within(plan.unit, namesOf(plan), context, (inHand) => revert(plan, inHand, folders, context)),
    restack,
  };
}

function notAllowed(names: readonly string[], { state, systemd, target }: UnitInHand): Failure | null {
  const allowed = systemd.environment;
  const list = allowed && Object.hasOwn(allowed, state.unit) ? (allowed[state.unit] ?? []) : [];
  if (names.length > 0 && names.every((name) => list.includes(name))) return null;
  const may = list.length > 0 ? `only ${list.join(", ")}` : "none";
  return lasting(
    `Not all of these variables may be set for ${state.unit} of the target ${target.name}: ${may}. ` +
      "See systemd.environment in paramedic.yaml.",
  );
}

async function plan(input: Input, { state }: UnitInHand, folders: UnitFolders): Promise<Planned<EnvironmentPlan>> {
  const { unit, until } = input;
  const variables: PlannedVariable[] = [];
  const effects: string[] = [];
  for (const name of Object.keys(input.variables).sort()) {
    const value = input.variables[name] as string;
    const path = dropInPath(folders, unit, name, until);
    const text = await readText(path);
    const present = text === null ? null : readDropIn(name, text);
    if (text !== null && !present)
      return lasting(`${path} was not written by Paramedic as it stands. Remove it first.`);
    const inForce = state.service?.environment.includes(`${name}=${value}`) ?? false;
    // After a crash the file is there, but perhaps not loaded; what it replaced is what a revert must restore.
    const written = present?.value === value;
    variables.push({ name, value, before: written ? present.before : (present?.value ?? null) });
    if (!written || !inForce) effects.push(describeEffect(name, value, until, unit, state.service?.environment ?? []));
  }
  if (effects.length > 0 && (state.service?.environmentFiles.length ?? 0) > 0) {
    effects.push(`note: ${unit} also reads ${state.service?.environmentFiles.join(", ")}, whose values win over these`);
  }
  return { status: "planned", plan: { unit, until, variables }, effects };
}

function describeEffect(name: string, value: string, until: Until, unit: string, now: readonly string[]): string {
  const shown = (text: string) =>
    isSecretName(name) ? "a value that is not shown" : JSON.stringify(shorten(text, 200));
  const old = now.find((assignment) => assignment.startsWith(`${name}=`))?.slice(name.length + 1);
  const from = old === undefined ? "which is not set now" : `which is ${shown(old)} now`;
  const how = until === "reboot" ? "until the next boot" : "durably";
  return `set ${name} of ${unit}, ${from}, to ${shown(value)} ${how}; it takes effect when the service is next started`;
}

async function apply(
  plan: EnvironmentPlan,
  inHand: UnitInHand,
  folders: UnitFolders,
  context: ActionContext,
): Promise<Outcome> {
  const { unit, until, variables } = plan;
  const changes = variables.map(({ name, value, before }): FileChange => {
    const path = dropInPath(folders, unit, name, until);
    // Whatever the value before had itself replaced is not known here: only its value is compared.
    return { path, name, from: before, to: { value, before } };
  });
  const changed = await isAsPlanned(changes);
  if (changed) return changed;
  return await write(plan, changes, inHand, context, (environment) => {
    const missing = variables.filter(({ name, value }) => !environment.includes(`${name}=${value}`));
    return missing.map(({ name }) => name);
  });
}

async function revert(
  plan: EnvironmentPlan,
  inHand: UnitInHand,
  folders: UnitFolders,
  context: ActionContext,
): Promise<Outcome> {
  const { unit, until, variables } = plan;
  const changes = variables.map(({ name, value, before }): FileChange => {
    const path = dropInPath(folders, unit, name, until);
    return { path, name, from: value, to: before === null ? null : { value: before, before: null } };
  });
  const changed = await isAsPlanned(changes);
  if (changed) return changed;
  return await write(plan, changes, inHand, context, () => []);
}

/** Variable by variable: each is in the hands of whoever set it last. */
function restack(lower: EnvironmentPlan, upper: EnvironmentPlan): Restacked<EnvironmentPlan> {
  if (lower.unit !== upper.unit || lower.until !== upper.until) return { lower, upper };
  const of = (plan: EnvironmentPlan) => new Map(plan.variables.map((variable) => [variable.name, variable]));
  const [below, above] = [of(lower), of(upper)];
  // A variable that was found as it is to become has the same value before it in both.
  const isSame = (low: PlannedVariable, high: PlannedVariable) =>
    low.value === high.value && low.before === high.before;
  const isTakenOver = (low: PlannedVariable) => {
    const high = above.get(low.name);
    return high !== undefined && (high.before === low.value || isSame(low, high));
  };
  return {
    lower: withOnly(lower, (low) => !isTakenOver(low)),
    upper: {
      ...upper,
      variables: upper.variables.map((high) => {
        const low = below.get(high.name);
        return low && isTakenOver(low) ? { ...high, before: low.before } : high;
      }),
    },
    upperFirst: withOnly(upper, (high) => {
      const low = below.get(high.name);
      return !low || !isSame(low, high);
    }),
  };
}

/** The plan without the variables that do not belong to it; null where none is left. */
function withOnly(plan: EnvironmentPlan, belongs: (variable: PlannedVariable) => boolean): EnvironmentPlan | null {
  const variables = plan.variables.filter(belongs);
  return variables.length > 0 ? { ...plan, variables } : null;
}

/** Writes all files, has systemd read them, and looks whether they count; puts everything back where they do not. */
async function write(
  { unit, until, variables }: EnvironmentPlan,
  changes: readonly FileChange[],
  inHand: UnitInHand,
  { signal }: ActionContext,
  withoutEffect: (environment: readonly string[]) => readonly string[],
): Promise<Outcome> {
  if (signal.aborted) return passing(`Stopped before the environment of ${unit} was changed.`);
  const written = await replaceTexts(changes.map(({ path, name, to }) => ({ path, text: to && dropInText(name, to) })));
  if (written.status === "failed") return written;
  const reloaded = await callSystemd<null>(inHand.bus, "Reload");
  if (!reloaded.ok) {
    if (reloaded.trouble.kind !== "refused") return notLoaded(unit, reloaded.trouble.message);
    await written.undo();
    return inHand.failure(reloaded.trouble);
  }
  const read = await readUnit(inHand.bus, unit);
  if (!read.ok) return notLoaded(unit, `it could not be read: ${read.trouble.message}`);
  const overridden = withoutEffect(read.value.service?.environment ?? []);
  if (overridden.length > 0) {
    await written.undo();
    await callSystemd<null>(inHand.bus, "Reload");
    return lasting(
      `Another drop-in of ${unit} sets ${overridden.join(", ")} and wins, so nothing was changed. See: systemctl cat ${unit}.`,
    );
  }
  return { status: "done", result: { unit, until, variables: variables.map(({ name }) => name) } };
}

function notLoaded(unit: string, why: string): Outcome {
  return {
    status: "unknown",
    reason: `The drop-ins of ${unit} are written, but whether systemd has loaded them is not known: ${why}.`,
  };
}
