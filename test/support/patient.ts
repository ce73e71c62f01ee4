/** A patient in memory: things that can be seen, changed and counted, so that tests can tell what was done and how often. */

import { z } from "zod";
import type {
  Action,
  ActionContext,
  ActionRegistry,
  ChangeAction,
  ObserveAction,
  Outcome,
} from "../../src/domain/action.ts";

/** Tests set its fields and read its counters. */
export interface Patient {
  /** What `patient.look` sees and `verify` measures. */
  sick: boolean;
  /** What `plan` finds to change. */
  things: string[];
  /** Every apply that took effect, in order. */
  readonly applied: string[][];
  plans: number;
  looks: number;
  /** What an apply does instead of taking effect at once; returns what it then reports. */
  onApply: ((plan: readonly string[], context: ActionContext) => Promise<Outcome> | Outcome) | null;
  onLook: ((context: ActionContext) => Promise<void> | void) | null;
  onPlan: ((context: ActionContext) => Promise<void> | void) | null;
  probe: "applied" | "not-applied" | "unknown";
  /** Whether an effect cures. */
  curable: boolean;
  /** Where the patient lies; `patient.move` changes it for a time. */
  bed: string;
  /** Every move that took effect, there and back, in order. */
  readonly moves: string[];
  /** What a revert does before it takes effect; what it returns, if anything, is reported instead. */
  onRevert: ((context: ActionContext) => Promise<Outcome | undefined> | Outcome | undefined) | null;
  /** Whether the patient is sick again once moved back. */
  relapses: boolean;
}

/** A sick patient with two things to change. */
export function createPatient(overrides: Partial<Patient> = {}): Patient {
  return {
    sick: true,
    things: ["one", "two"],
    applied: [],
    plans: 0,
    looks: 0,
    onApply: null,
    onLook: null,
    onPlan: null,
    probe: "unknown",
    curable: true,
    bed: "ward",
    moves: [],
    onRevert: null,
    relapses: false,
    ...overrides,
  };
}

const none = z.strictObject({});

/** `patient.look`, `patient.move`, which can be put back, and `patient.heal` in the kinds that differ in risk and repeat. */
export function patientActions(patient: Patient): ActionRegistry {
  const look: ObserveAction<object, { sick: boolean; things: number }> = {
    name: "patient.look",
    summary: "Look at the patient.",
    kind: "observe",
    input: none,
    output: z.object({ sick: z.boolean(), things: z.number() }),
    observe: async (_, context) => {
      patient.looks += 1;
      await patient.onLook?.(context);
      return { status: "observed", output: { sick: patient.sick, things: patient.things.length } };
    },
  };
  const lookAway: ObserveAction<object, { sick: boolean }> = {
    name: "patient.look-away",
    summary: "Look at a patient who turns away.",
    kind: "observe",
    input: none,
    output: z.object({ sick: z.boolean() }),
    observe: async () => ({ status: "failed", reason: "it turned away", retryable: false }),
  };
  const heal = (name: string, traits: Pick<ChangeAction, "risk" | "repeat">): ChangeAction<object, string[]> => ({
    name,
    summary: "Heal the patient.",
    kind: "change",
    input: z.strictObject({ note: z.string().optional() }),
    ...traits,
    plan: async (_, context) => {
      patient.plans += 1;
      await patient.onPlan?.(context);
      const plan = [...patient.things];
      return { status: "planned", plan, effects: plan.map((thing) => `heal ${thing}`) };
    },
    apply: async (plan, context) => {
      if (patient.onApply) return patient.onApply(plan, context);
      return takeEffect(patient, plan);
    },
    probe: async () => patient.probe,
  });
  const tell: ChangeAction<object, null> = {
    name: "patient.tell",
    summary: "Say something to the patient.",
    kind: "change",
    input: none,
    risk: "low",
    repeat: "safe",
    tells: true,
    plan: async () => ({ status: "planned", plan: null, effects: ["say something"] }),
    apply: async () => ({ status: "done", result: null }),
  };
  const all: Action[] = [
    look,
    lookAway,
    move(patient),
    heal("patient.heal", { risk: "low", repeat: "safe" }),
    heal("patient.heal-once", { risk: "low", repeat: "once" }),
    heal("patient.operate", { risk: "high", repeat: "once" }),
    tell,
  ];
  return new Map(all.map((action) => [action.name, action]));
}

type Move = { readonly to: string; readonly from: string };

/** Moves the patient to another bed, and back to where they lay before. */
function move(patient: Patient): ChangeAction<{ bed: string }, Move> {
  const go = (bed: string): Outcome => {
    patient.bed = bed;
    patient.moves.push(bed);
    return { status: "done", result: { bed } };
  };
  return {
    name: "patient.move",
    summary: "Move the patient to another bed.",
    kind: "change",
    input: z.strictObject({ bed: z.string() }),
    risk: "high",
    repeat: "safe",
    plan: async ({ bed }) => {
      const effects = patient.bed === bed ? [] : [`move the patient from ${patient.bed} to ${bed}`];
      return { status: "planned", plan: { to: bed, from: patient.bed }, effects };
    },
    apply: async ({ to }, context) => {
      if (patient.onApply) return patient.onApply([to], context);
      if (patient.curable) patient.sick = false;
      return go(to);
    },
    revert: async ({ to, from }, context) => {
      const instead = await patient.onRevert?.(context);
      if (instead) return instead;
      if (patient.relapses) patient.sick = true;
      if (patient.bed === from) return { status: "done", result: { bed: from } };
      if (patient.bed === to) return go(from);
      return { status: "failed", reason: `the patient lies in ${patient.bed}, not in ${to}`, retryable: false };
    },
    restack: (lower, upper) =>
      upper.from === lower.to ? { lower: null, upper: { ...upper, from: lower.from } } : { lower, upper },
  };
}

/** What an apply does to the patient. */
export function takeEffect(patient: Patient, plan: readonly string[]): Outcome {
  patient.applied.push([...plan]);
  patient.things = patient.things.filter((thing) => !plan.includes(thing));
  if (patient.curable) patient.sick = false;
  return { status: "done", result: { healed: [...plan] } };
}
