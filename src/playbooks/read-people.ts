/** Reads what a playbook says about people: whom it hands over to, whom it tells and when, and what approvals must be. */

import type { ApprovalDemands } from "../domain/approval-demands.ts";
import { parseDuration } from "../domain/duration.ts";
import type { Escalate, InputDeclaration, Notify, Playbook } from "../domain/playbook.ts";
import type { ValueType } from "./cel-types.ts";
import { type Condition, compileCondition } from "./expression.ts";
import { hint } from "./near.ts";
import { asMap, type Notes, type Raw, readField, readItem, readList } from "./parse-part.ts";
import { approvalsSchema, escalateSchema, notifySchema } from "./schema.ts";
import type { YamlPath } from "./yaml-source.ts";

/** The names of the configuration that playbooks use for people. */
export interface PeopleWorld {
  /** The escalation policies. */
  readonly policies: readonly string[];
  readonly contacts: readonly string[];
  /** The sets of approvers. */
  readonly approvers: readonly string[];
  /** Whether there is any place where changes are announced. */
  readonly announces: boolean;
}

/** An entry of `notify` with what decides about it. */
export interface LoadedNotify {
  readonly entry: Notify;
  /** Null: always. */
  readonly condition: Condition | null;
}

/** What the rest of the playbook is to these fields. */
export interface AroundPeople {
  /** All steps and what they give. */
  readonly steps: ReadonlyMap<string, ValueType>;
  readonly inputs: Readonly<Record<string, InputDeclaration>>;
  readonly changesNothing: boolean;
}

export interface ReadPeople extends Pick<Playbook, "escalate" | "announce" | "approvals"> {
  readonly notify: readonly LoadedNotify[];
}

/** Reads `escalate`, `announce`, `approvals` and `notify`. What is wrong is reported, and left out. */
export function readPeople(raw: Raw, around: AroundPeople, world: PeopleWorld, notes: Notes): ReadPeople {
  if (around.changesNothing) {
    for (const key of ["announce", "approvals"].filter((one) => raw[one] !== undefined && raw[one] !== "never")) {
      notes.warn([key], `${key} has no effect: no step of this playbook changes anything`);
    }
  }
  return {
    escalate: readEscalate(raw, world, notes),
    announce: readAnnounce(raw, world, notes),
    approvals: readApprovals(raw, world, notes),
    notify: readNotify(raw, around, world, notes),
  };
}

function readEscalate(raw: Raw, world: PeopleWorld, notes: Notes): Escalate | null {
  const isMap = asMap(raw["escalate"]) !== null;
  const read = isMap
    ? readItem(raw["escalate"], escalateSchema, {}, ["escalate"], notes)
    : readField(raw, "escalate", notes);
  if (read === undefined) return null;
  const { policy, hold } = typeof read === "string" ? { policy: read } : read;
  reportUnknownName(policy, world.policies, "escalation policy", isMap ? ["escalate", "policy"] : ["escalate"], notes);
  return { policy, holdMs: hold === undefined ? null : parseDuration(hold) };
}

function readAnnounce(raw: Raw, world: PeopleWorld, notes: Notes): Playbook["announce"] {
  const announce = readField(raw, "announce", notes) ?? "now";
  if (announce === "before" && !world.announces) {
    notes.warn(
      ["announce"],
      "announce: before has no effect, and the run does not wait: the configuration has neither slack nor statusPage",
    );
  }
  return announce;
}

function readApprovals(raw: Raw, world: PeopleWorld, notes: Notes): ApprovalDemands {
  const read =
    asMap(raw["approvals"]) === null
      ? readField(raw, "approvals", notes)
      : readItem(raw["approvals"], approvalsSchema, {}, ["approvals"], notes);
  const { atLeast, expireAfter, by } = typeof read === "number" ? { atLeast: read } : (read ?? {});
  if (by !== undefined) reportUnknownName(by, world.approvers, "set of approvers", ["approvals", "by"], notes);
  return {
    atLeast: atLeast ?? null,
    expireAfterMs: expireAfter === undefined ? null : parseDuration(expireAfter),
    by: by ?? null,
  };
}

function readNotify(raw: Raw, around: AroundPeople, world: PeopleWorld, notes: Notes): readonly LoadedNotify[] {
  return readList(raw, "notify", notes).flatMap((item, at): readonly LoadedNotify[] => {
    const path: YamlPath = ["notify", at];
    const read = readItem(item, notifySchema, { tell: "nobody" }, path, notes);
    if (read === undefined) return [];
    if (asMap(item)?.["tell"] === read.tell) {
      reportUnknownName(read.tell, world.contacts, "contact", [...path, "tell"], notes);
    }
    if (read.if === undefined) return [{ entry: { contact: read.tell, if: null, needs: [] }, condition: null }];
    const { steps, inputs } = around;
    const scope = { place: "condition", steps, laterSteps: new Set<string>(), inputs, output: null } as const;
    const compiled = compileCondition(read.if, scope);
    if (!compiled.ok) {
      notes.error([...path, "if"], `if: ${compiled.message}`);
      return [];
    }
    return [{ entry: { contact: read.tell, if: read.if, needs: compiled.steps }, condition: compiled.condition }];
  });
}

function reportUnknownName(name: string, known: readonly string[], what: string, path: YamlPath, notes: Notes): void {
  if (known.includes(name)) return;
  notes.error(path, `the configuration has no ${what} '${name}'${hint(name, known)}`);
}
