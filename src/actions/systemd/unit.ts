/** systemd as it is seen over D-Bus: the state of one unit, and what its own errors mean to people. */

import type { Failure } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import { shorten } from "../postgres/query-text.ts";
import type { Answer, Bus, Trouble } from "./bus.ts";

/** The well-known name of systemd; the prefix of its interfaces and errors too. */
export const systemdName = "org.freedesktop.systemd1";
export const systemdPath = "/org/freedesktop/systemd1";
export const systemdInterface = "org.freedesktop.systemd1.Manager";

/** What systemd says about a unit. Times are milliseconds since 1970, 0 where there is none. */
export interface UnitState {
  readonly unit: string;
  readonly loadState: string;
  readonly activeState: string;
  readonly subState: string;
  /** Differs for every start of the unit; empty before the first one. */
  readonly invocationId: string;
  /** When it last became active. */
  readonly activeSince: number;
  /** When it was last started. */
  readonly startedAt: number;
  readonly canRestart: boolean;
  /** Whether something is queued for it: a start, a stop, a restart. */
  readonly queued: boolean;
  /** At most `burst` starts within `intervalMs`; either is 0 where there is no limit. */
  readonly startLimit: { readonly burst: number; readonly intervalMs: number };
  /** What only services have; null for other units. */
  readonly service: ServiceState | null;
}

export interface ServiceState {
  readonly type: string;
  readonly mainPid: number;
  /** Automatic restarts since it was last started by hand. */
  readonly restarts: number;
  /** How it ended last: `success`, `exit-code`, `timeout`, `start-limit-hit`, … */
  readonly result: string;
  readonly exitStatus: number;
  /** Its variables as NAME=value: those of the unit files, not those of `environmentFiles`. */
  readonly environment: readonly string[];
  readonly environmentFiles: readonly string[];
}

/** Calls a method of systemd itself. */
export function callSystemd<T>(
  bus: Bus,
  member: string,
  signature = "",
  body: readonly unknown[] = [],
): Promise<Answer<T>> {
  const call = { destination: systemdName, path: systemdPath, interface: systemdInterface, member };
  return bus.call<T>(signature === "" ? call : { ...call, signature, body });
}

/** The state of a unit, which systemd loads for that where it has not yet. */
export async function readUnit(bus: Bus, unit: string): Promise<Answer<UnitState>> {
  const path = await callSystemd<string>(bus, "LoadUnit", "s", [unit]);
  if (!path.ok) return path;
  const properties = await readProperties(bus, path.value, "Unit");
  if (!properties.ok) return properties;
  if (!unit.endsWith(".service")) return { ok: true, value: stateOf(unit, properties.value, null) };
  const service = await readProperties(bus, path.value, "Service");
  return service.ok ? { ok: true, value: stateOf(unit, properties.value, service.value) } : service;
}

type Properties = Readonly<Record<string, unknown>>;

function readProperties(bus: Bus, path: string, kind: "Unit" | "Service"): Promise<Answer<Properties>> {
  return bus.call<Properties>({
    destination: systemdName,
    path,
    interface: "org.freedesktop.DBus.Properties",
    member: "GetAll",
    signature: "s",
    body: [`${systemdName}.${kind}`],
  });
}

function stateOf(unit: string, properties: Properties, service: Properties | null): UnitState {
  return {
    unit,
    loadState: textOf(properties["LoadState"]),
    activeState: textOf(properties["ActiveState"]),
    subState: textOf(properties["SubState"]),
    invocationId: invocationOf(properties["InvocationID"]),
    activeSince: milliseconds(properties["ActiveEnterTimestamp"]),
    startedAt: milliseconds(properties["InactiveExitTimestamp"]),
    canRestart: properties["CanStart"] === true && properties["CanStop"] === true,
    queued: Array.isArray(properties["Job"]) && Number(properties["Job"][0]) !== 0,
    startLimit: {
      burst: Number(properties["StartLimitBurst"] ?? 0),
      intervalMs: milliseconds(properties["StartLimitIntervalUSec"]),
    },
    service: service && {
      type: textOf(service["Type"]),
      mainPid: Number(service["MainPID"] ?? 0),
      restarts: Number(service["NRestarts"] ?? 0),
      result: textOf(service["Result"]),
      exitStatus: Number(service["ExecMainStatus"] ?? 0),
      environment: (service["Environment"] as readonly string[] | undefined) ?? [],
      environmentFiles: ((service["EnvironmentFiles"] as [string, boolean][] | undefined) ?? []).map(([file]) => file),
    },
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function invocationOf(value: unknown): string {
  const id = Buffer.from((value as Uint8Array | undefined) ?? []).toString("hex");
  return /^0*$/.test(id) ? "" : id;
}

/** Milliseconds of one of systemd's microseconds, whose largest value means "never". */
function milliseconds(value: unknown): number {
  const ms = Math.round(Number(value ?? 0) / 1_000);
  return Number.isSafeInteger(ms) && ms < 1e15 ? ms : 0;
}

/** The Failure that trouble with a call about `unit` means. `where` names the bus. Only before a change was asked for. */
export function failureOf(trouble: Trouble, unit: string, where: string): Failure {
  if (trouble.kind === "stopped") return passing(`Stopped while talking to systemd over the bus at ${where}.`);
  if (trouble.kind === "late") return passing(`systemd did not answer over the bus at ${where}: ${trouble.message}.`);
  if (trouble.kind !== "refused") {
    return passing(`The bus at ${where} cannot be used (${trouble.message}). Check dbus.service.`);
  }
  const { name, message } = trouble;
  // Without a rule that says so, polkit asks for a password instead of denying.
  if (name.endsWith(".AccessDenied") || name.endsWith(".InteractiveAuthorizationRequired")) {
    return lasting(
      `systemd denies this for ${unit}. Install the rules that \`paramedic polkit\` prints (docs/operating.md).`,
    );
  }
  if (name === `${systemdName}.NoSuchUnit`)
    return lasting(`There is no unit ${unit} on this host. Correct systemd.units.`);
  if (name === `${systemdName}.UnitMasked`) return lasting(`The unit ${unit} is masked. Unmask it first.`);
  if (name === `${systemdName}.OnlyByDependency`)
    return lasting(`The unit ${unit} refuses to be started or stopped by hand.`);
  if (name === `${systemdName}.TransactionIsDestructive`) {
    return passing(
      `Something else is queued for ${unit}, such as a stop, and is not replaced. Try again when it is done.`,
    );
  }
  if (/\.(ServiceUnknown|NameHasNoOwner)$/.test(name)) {
    return passing(`systemd is not on the bus at ${where}. Check the host.`);
  }
  return lasting(`systemd refused this for ${unit}: ${shorten(message, 200)} (${name}).`);
}
