/** The playbooks with a schedule as the store deals with them: which occurrence is due, and the run that it is given. */

import { holdOf, type NewRun } from "./accept.ts";
import { checkInputs } from "./inputs.ts";
import type { LoadedPlaybook } from "./load.ts";
import { type DueOccurrence, dueOccurrence } from "./schedule.ts";

export interface ScheduledPlaybook {
  readonly playbook: string;
  due(last: number, now: number): DueOccurrence | null;
  /** `due` is RFC 3339. */
  runFor(due: string): NewRun;
  readonly whileBusy: "wait" | "skip";
}

/** Those of the loaded playbooks that have a schedule. */
export function scheduledPlaybooks(
  loaded: readonly LoadedPlaybook[],
  newId: () => string,
): readonly ScheduledPlaybook[] {
  return loaded.flatMap(({ playbook, occurrences }) => {
    const { schedule } = playbook.on;
    if (!schedule || !occurrences) return [];
    const { target } = playbook;
    const defaults = playbook.on.request === null ? null : checkInputs(playbook, {});
    return [
      {
        playbook: playbook.name,
        due: (last, now) => dueOccurrence(schedule, occurrences, last, now),
        runFor: (due) => ({
          id: newId(),
          playbook: playbook.name,
          playbookHash: playbook.hash,
          // Loading has made sure that the target is named.
          target: target !== null && "name" in target ? target.name : null,
          trigger: { kind: "schedule", due },
          inputs: defaults?.ok ? defaults.inputs : {},
          dryRun: false,
          hold: holdOf(playbook),
        }),
        whileBusy: schedule.missed === "run" ? "wait" : "skip",
      },
    ];
  });
}
