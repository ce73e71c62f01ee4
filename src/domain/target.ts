/** A target: a system Paramedic may act upon. Only what is listed here is ever touched. */

import type { Labels } from "./alert.ts";
import type { ApprovalDemands } from "./playbook.ts";

/** A system from the configuration. A part that is left out cannot be acted upon. */
export interface Target {
  readonly name: string;
  /** Steps that must run on this host go to the worker started with `--host`; null: any worker. */
  readonly host: string | null;
  /** Which label values mean this target: label name to the values that select it. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** What this target asks of approvals beyond what the configuration does. */
  readonly approvals?: ApprovalDemands;
  readonly postgres?: PostgresTarget;
  readonly redis?: { readonly url: string; readonly keyPatterns: readonly string[] };
  readonly systemd?: { readonly units: readonly string[] };
  readonly django?: { readonly project: string; readonly python: string; readonly settings: string };
  readonly http?: { readonly baseUrl: string };
}

/** The database of a target and whose queries there may be touched. */
export interface PostgresTarget {
  readonly url: string;
  /** Roles whose sessions may be seen and cancelled. Never empty. */
  readonly users: readonly string[];
  /** Databases in which sessions may be seen and cancelled. Never empty. */
  readonly databases: readonly string[];
}

/**
 * The one target that the value of the label `label` selects, or null where the label is absent or unknown.
 * The value is only compared: it never becomes a name, a host or a path.
 */
export function targetByLabel(targets: readonly Target[], label: string, labels: Labels): Target | null {
  const value = Object.hasOwn(labels, label) ? labels[label] : undefined;
  if (value === undefined || value === "") return null;
  const found = targets.filter((target) => {
    const values = Object.hasOwn(target.labels, label) ? target.labels[label] : undefined;
    return values?.includes(value) ?? false;
  });
  return found.length === 1 ? (found[0] as Target) : null;
}
