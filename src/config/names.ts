/** The names in a configuration that playbooks may refer to. */

import type { Target } from "../domain/target.ts";
import type { Config } from "./config.ts";

/** What is needed of a configuration to check playbooks. */
export interface ConfigNames {
  readonly targets: readonly Pick<Target, "name" | "labels">[];
  /** The names of the escalation policies. */
  readonly policies: readonly string[];
  readonly contacts: readonly string[];
  /** The names of the sets of approvers. */
  readonly approvers: readonly string[];
  /** Whether there is any place where changes are announced. */
  readonly announces: boolean;
}

/** The names in a configuration that is in order. */
export function namesOf(config: Config): ConfigNames {
  return {
    targets: config.targets,
    policies: [...config.escalation.keys()],
    contacts: [...config.contacts.keys()],
    approvers: [...config.approvers.keys()],
    announces: config.announcements.slack !== null || config.statusPage !== null,
  };
}
