/** One short-lived connection to the system bus per use, about one unit that the target's configuration lists. */

import type { ActionContext, Failure } from "../../domain/action.ts";
import type { SystemdTarget, Target } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import { type Bus, type BusPlace, busPlace, openBus, type Trouble } from "./bus.ts";
import { failureOf, readUnit, type UnitState } from "./unit.ts";

const usualAddress = "unix:path=/run/dbus/system_bus_socket";

/** What the actions of systemd need of the configuration beyond their target. */
export interface SystemdSettings {
  /** The address of the system bus where it is not the usual one. */
  readonly systemBusAddress: string | null;
}

/** A unit that may be acted upon, as it is now, and the bus over which to do so. */
export interface UnitInHand {
  readonly bus: Bus;
  readonly target: Target;
  readonly systemd: SystemdTarget;
  readonly state: UnitState;
  /** The bus's address as it may be shown to people. */
  readonly where: string;
  /** The Failure that trouble with a call means, as long as no change was asked for. */
  failure(trouble: Trouble): Failure;
}

/** The target's `systemd:`, if it lists the unit, and the place of the bus; or what is missing. */
export function allowedUnit(
  context: ActionContext,
  settings: SystemdSettings,
  unit: string,
): { readonly target: Target; readonly systemd: SystemdTarget; readonly place: BusPlace } | Failure {
  const { target } = context;
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  const { systemd } = target;
  if (!systemd) return lasting(`The target ${target.name} has no systemd: in paramedic.yaml. Add its units.`);
  // The unit may be hostile text: it is not repeated before it was found in the list.
  if (!systemd.units.includes(unit)) {
    return lasting(
      `The target ${target.name} does not list this unit. Its systemd.units: ${systemd.units.join(", ")}.`,
    );
  }
  const place = busPlace(settings.systemBusAddress ?? usualAddress);
  if (!place) return lasting("DBUS_SYSTEM_BUS_ADDRESS is no unix: or tcp: address of a bus. Correct it.");
  return { target, systemd, place };
}

/** Connects, reads the unit, runs `use` and disconnects. A unit that is not listed or not there is a Failure. */
export async function withUnit<T>(
  context: ActionContext,
  settings: SystemdSettings,
  unit: string,
  use: (inHand: UnitInHand) => Promise<T>,
): Promise<T | Failure> {
  const allowed = allowedUnit(context, settings, unit);
  if ("status" in allowed) return allowed;
  const { target, systemd, place } = allowed;
  const failure = (trouble: Trouble) => failureOf(trouble, unit, place.name);
  const opened = await openBus(place, context.signal);
  if (!opened.ok) return failure(opened.trouble);
  const bus = opened.value;
  try {
    const state = await readUnit(bus, unit);
    if (!state.ok) return failure(state.trouble);
    if (state.value.loadState !== "loaded") return notLoaded(state.value);
    return await use({ bus, target, systemd, state: state.value, where: place.name, failure });
  } finally {
    bus.close();
  }
}

function notLoaded({ unit, loadState }: UnitState): Failure {
  if (loadState === "not-found")
    return lasting(`There is no unit ${unit} on this host. Correct systemd.units or host.`);
  if (loadState === "masked") return lasting(`The unit ${unit} is masked. Unmask it first.`);
  return lasting(`systemd could not load the unit ${unit} (${loadState}). See: systemctl status ${unit}.`);
}
