/** The playbook of a run that puts a mitigation back: one planned step, and the checks of the playbook that made it. */

import type { ActionRegistry, ChangeAction, Restacked } from "../domain/action.ts";
import type { Trigger } from "../domain/event.ts";
import type { Json } from "../domain/json.ts";
import type { ChangeStep } from "../domain/playbook.ts";
import type { LoadedPlaybook } from "./load.ts";

type OfMitigation = Extract<Trigger, { readonly kind: "mitigation" }>;

/**
 * The playbook as such a run carries it out; null where its text has no such step, or its action cannot revert. It asks
 * nobody: whoever approved the change approved that it is put back. The checks are measured afterwards, since the trouble
 * may come back.
 */
export function revertingPlaybook(loaded: LoadedPlaybook, mitigation: OfMitigation): LoadedPlaybook | null {
  const made = loaded.steps.get(mitigation.step);
  if (made?.step.kind !== "change" || made.action.kind !== "change" || !made.action.revert) return null;
  const step: ChangeStep = {
    ...made.step,
    if: null,
    repeat: "safe",
    risk: made.step.risk === "irreversible" ? "irreversible" : "low",
    approval: "never",
    revert: null,
  };
  const action = reverting(made.action as ChangeAction & Required<Pick<ChangeAction, "revert">>, mitigation);
  // What was changed for a time is put back when its time is over, whatever the hour.
  const { during: _, ...playbook } = loaded.playbook;
  return {
    ...loaded,
    playbook: {
      ...playbook,
      cooldownMs: null,
      budget: [],
      onResolved: "finish",
      steps: [step],
      notify: [],
    },
    steps: new Map([
      [step.id, { step, action, condition: null, input: () => ({ ok: true, input: null }), found: null }],
    ]),
    notify: [],
  };
}

/** The action turned round: its plan is what was done, and applying it puts that back. */
function reverting(
  action: ChangeAction & Required<Pick<ChangeAction, "revert">>,
  { plan, effects }: OfMitigation,
): ChangeAction<unknown, Json> {
  return {
    ...action,
    plan: async () => ({ status: "planned", plan, effects: effects.map((effect) => `put back: ${effect}`) }),
    apply: (planned, context) => action.revert(planned, context),
  };
}

/** How one mitigation gives way to a later one of the same action; an action that does not say keeps both as they are. */
export function restackBy(actions: ActionRegistry): (action: string, lower: Json, upper: Json) => Restacked {
  return (name, lower, upper) => {
    const action = actions.get(name);
    return (action?.kind === "change" && action.restack?.(lower, upper)) || { lower, upper };
  };
}
