/** What the expressions of a playbook may refer to, out of a run's history. */

import type { RunEvent } from "../domain/event.ts";
import { outputsOf, type Progress } from "../domain/progress.ts";
import type { Values } from "./perform.ts";

/**
 * The values as they are after the last event. `target` is the name of the run's target. A run that puts a mitigation
 * back has the values of the run that made it.
 */
export function valuesOf(target: string | null, progress: Progress, history: readonly RunEvent[]): Values {
  const created = history[0]?.type === "created" ? history[0] : null;
  const trigger = created?.trigger;
  const alert = trigger?.kind === "alert" || trigger?.kind === "mitigation" ? trigger : null;
  const before = trigger?.kind === "mitigation" ? trigger.outputs : {};
  return {
    steps: Object.assign(Object.create(null), outputsOf(progress), before),
    inputs: created?.inputs ?? {},
    labels: alert?.labels ?? {},
    annotations: alert?.annotations ?? {},
    target,
  };
}
