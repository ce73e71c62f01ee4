/** The explicit list of everything that Paramedic can do. */

import type { Action, ActionRegistry } from "../domain/action.ts";
import { httpGet } from "./http/get.ts";
import { postgresActions } from "./postgres/postgres-actions.ts";
import { prometheusQuery } from "./prometheus/query.ts";
import { deleteKeys } from "./redis/delete-keys.ts";
import { roundTrip } from "./redis/round-trip.ts";
import { stats } from "./redis/stats.ts";

/** What actions need of the configuration beyond their target. */
export interface ActionSettings {
  /** The Prometheus that `prometheus.query` asks; null where none is configured. */
  readonly prometheusUrl: string | null;
}

/** All actions by name. Throws where two have the same name. */
export function createActions(settings: ActionSettings): ActionRegistry {
  const actions: readonly Action[] = [
    httpGet,
    ...postgresActions,
    prometheusQuery(settings.prometheusUrl),
    stats,
    roundTrip,
    deleteKeys,
  ];
  const registry = new Map(actions.map((action) => [action.name, action]));
  if (registry.size !== actions.length) throw new Error("Two actions have the same name.");
  return registry;
}
