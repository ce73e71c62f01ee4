/** What the expressions of a playbook may refer to, out of a run's history. */

import type { RunEvent } from "../domain/event.ts";
import type { Json } from "../domain/json.ts";
import type { Progress } from "../domain/progress.ts";
import type { Values } from "./perform.ts";

/** The values as they are after the last event. `target` is the name of the run's target. */
export function valuesOf(target: string | null, progress: Progress, history: readonly RunEvent[]): Values {
  const created = history[0]?.type === "created" ? history[0] : null;
  const alert = created?.trigger.kind === "alert" ? created.trigger : null;
  const steps: { [id: string]: Json } = Object.create(null);
  for (const [id, step] of progress.steps) {
    if (step.state === "observed" || step.state === "done") steps[id] = step.result;
  }
  return {
    steps,
    inputs: created?.inputs ?? {},
    labels: alert?.labels ?? {},
    annotations: alert?.annotations ?? {},
    target,
  };
}
