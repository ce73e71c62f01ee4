/** Watches a unit after its restart: that systemd calls it done is not health. */

import { setTimeout as pause } from "node:timers/promises";
import type { Target } from "../../domain/target.ts";
import type { Bus, Trouble } from "./bus.ts";
import { askHealth, type Health } from "./health.ts";
import { readUnit, type UnitState } from "./unit.ts";

const everyMs = 250;
const usualSettleMs = 10_000;

/** What was seen. `steady`: the same new start throughout, active, without automatic restarts, and well at the end. */
export type Settled =
  | { readonly kind: "steady"; readonly state: UnitState; readonly health: Health | null; readonly watchedMs: number }
  | { readonly kind: "unsteady"; readonly state: UnitState; readonly reason: string }
  | { readonly kind: "unseen"; readonly trouble: Trouble };

/** What the unit was before it was restarted: the start that must be over, and how many starts systemd had made by itself. */
export interface Before {
  /** Null: any start will do. */
  readonly invocationId: string | null;
  readonly restarts: number;
}

/** Watches `unit` for the target's settle time. */
export async function settle(
  bus: Bus,
  target: Target,
  unit: string,
  before: Before,
  signal: AbortSignal,
): Promise<Settled> {
  const settleMs = target.systemd?.settleMs ?? usualSettleMs;
  const started = performance.now();
  let first: UnitState | null = null;
  for (;;) {
    const read = await readUnit(bus, unit);
    if (!read.ok) return { kind: "unseen", trouble: read.trouble };
    const state = read.value;
    first ??= state;
    const afterMs = performance.now() - started;
    const reason = unsteady(state, first, before);
    if (reason) return { kind: "unsteady", state, reason: `${reason} ${(afterMs / 1_000).toFixed(1)} s after it` };
    if (afterMs >= settleMs) {
      const health = await askHealth(target, signal);
      if (signal.aborted) return { kind: "unseen", trouble: { kind: "stopped", message: "stopped" } };
      if (health && !health.well)
        return { kind: "unsteady", state, reason: `${health.words}, ${settleMs / 1_000} s after it` };
      return { kind: "steady", state, health, watchedMs: Math.round(afterMs) };
    }
    await pause(Math.min(everyMs, Math.ceil(settleMs - afterMs)), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return { kind: "unseen", trouble: { kind: "stopped", message: "stopped" } };
  }
}

function unsteady(state: UnitState, first: UnitState, before: Before): string | null {
  const { activeState, subState, service } = state;
  const restarts = service?.restarts ?? 0;
  // A start by hand sets the count back, except of a unit that was waiting for its next automatic start: that keeps it.
  const isNew = before.invocationId !== null && restarts > 0 && restarts !== before.restarts;
  if (isNew || restarts > (first.service?.restarts ?? 0)) {
    return `it has ended and systemd restarted it ${restarts} times`;
  }
  if (activeState !== "active" && activeState !== "reloading") {
    const how = service ? `, result ${service.result}, exit status ${service.exitStatus}` : "";
    // systemd forgets a unit that it did not start, and with it why.
    const why =
      activeState === "inactive" ? ", by its own end or because a condition in its unit file does not hold," : "";
    return `it was ${activeState} (${subState}${how})${why}`;
  }
  if (before.invocationId !== null && state.invocationId === before.invocationId)
    return "it still was the same start as before";
  if (state.invocationId !== first.invocationId) return "it had been started once more";
  return null;
}
