/** `systemd.status`: what systemd says about a unit. */

import { z } from "zod";
import type { ObserveAction } from "../../domain/action.ts";
import { unitInput } from "./unit-input.ts";
import { type SystemdSettings, withUnit } from "./with-unit.ts";

const input = z.strictObject({
  /** One of the target's `systemd.units`. */
  unit: unitInput,
});

const output = z.object({
  unit: z.string(),
  /** `active`, `reloading`, `inactive`, `failed`, `activating` or `deactivating`. */
  activeState: z.string(),
  /** The finer state, such as `running`, `exited` or `auto-restart`. */
  subState: z.string(),
  active: z.boolean(),
  /** How long it has been active; 0 where it is not. */
  activeSeconds: z.int(),
  /** How a service ended last: `success`, `exit-code`, `timeout`, …; empty for other units. */
  result: z.string(),
  /** The exit status of a service's main process, once it has ended. */
  exitStatus: z.int(),
  /** Automatic restarts since the service was last started by hand. */
  restarts: z.int(),
  /** The process id of a service's main process; 0 where there is none. */
  mainPid: z.int(),
  /** Differs for every start; empty before the first one. */
  invocationId: z.string(),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

/** `systemd.status` over the given system bus. */
export function systemdStatus(settings: SystemdSettings): ObserveAction<Input, Output> {
  return {
    name: "systemd.status",
    summary: "Reads what systemd says about a unit.",
    input,
    kind: "observe",
    onHost: true,
    output,
    observe: (input, context) =>
      withUnit(context, settings, input.unit, async ({ state }) => {
        const active = state.activeState === "active" || state.activeState === "reloading";
        const activeMs = active && state.activeSince > 0 ? Math.max(0, context.now() - state.activeSince) : 0;
        return {
          status: "observed",
          output: {
            unit: state.unit,
            activeState: state.activeState,
            subState: state.subState,
            active,
            activeSeconds: Math.floor(activeMs / 1_000),
            result: state.service?.result ?? "",
            exitStatus: state.service?.exitStatus ?? 0,
            restarts: state.service?.restarts ?? 0,
            mainPid: state.service?.mainPid ?? 0,
            invocationId: state.invocationId,
          },
        };
      }),
  };
}
