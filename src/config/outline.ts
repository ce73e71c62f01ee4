/** The outline of a configuration: where the playbooks are, and the names they may refer to. */

import { resolve } from "node:path";

import type { Target } from "../domain/target.ts";
import type { Config } from "./config.ts";
import type { Problem } from "./problems.ts";
import { at, entries, isMap } from "./raw.ts";

/** What is needed of a configuration to check playbooks. */
export interface Outline {
  /** The absolute path of the folder of playbooks. */
  readonly playbooks: string;
  readonly targets: readonly Pick<Target, "name" | "labels">[];
  /** The names of the escalation policies. */
  readonly policies: readonly string[];
  readonly contacts: readonly string[];
  /** The names of the sets of approvers. */
  readonly approvers: readonly string[];
  /** Whether there is any place where changes are announced. */
  readonly announces: boolean;
  /** Warnings about the configuration that only matter where a playbook asks for the approval of two people. */
  readonly warningsForTwo: readonly Problem[];
}

/** The outline of a configuration that is in order. */
export function outlineOf(config: Config): Outline {
  return {
    playbooks: config.playbooks,
    targets: config.targets,
    policies: [...config.escalation.keys()],
    contacts: [...config.contacts.keys()],
    approvers: [...config.approvers.keys()],
    announces: config.announcements.slack !== null || config.statusPage !== null,
    warningsForTwo: config.warningsForTwo,
  };
}

const folderWhereLeftOut = "playbooks/";

/**
 * The outline of a configuration that is wrong somewhere, as far as it can be trusted; null where playbooks checked
 * against it would be blamed for the mistakes of the configuration. `folder` is the one of the file.
 */
export function outlineOfWrong(raw: unknown, folder: string): Outline | null {
  const sections = ["targets", "escalation", "contacts", "approvers"].map((key) => at(raw, key) ?? {});
  const [targets, escalation, contacts, approvers] = sections;
  const playbooks = at(raw, "playbooks") ?? folderWhereLeftOut;
  if (!isMap(raw) || !sections.every(isMap) || typeof playbooks !== "string") return null;
  if (!entries(targets).every(([, target]) => isMap(target) && isMap(at(target, "labels") ?? {}))) return null;
  const namesOf = (section: unknown) => entries(section).map(([name]) => name);
  return {
    playbooks: resolve(folder, playbooks),
    targets: entries(targets).map(([name, target]) => ({
      name,
      labels: Object.fromEntries(namesOf(at(target, "labels")).map((label) => [label, []])),
    })),
    policies: namesOf(escalation),
    contacts: namesOf(contacts),
    approvers: namesOf(approvers),
    announces: isMap(at(raw, "slack")) || isMap(at(raw, "statusPage")),
    warningsForTwo: [],
  };
}
