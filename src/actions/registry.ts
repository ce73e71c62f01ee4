/** The explicit list of everything that Paramedic can do. */

import type { Action, ActionRegistry } from "../domain/action.ts";
import { httpGet } from "./http/get.ts";
import { activity } from "./postgres/activity.ts";
import { cancelQueries } from "./postgres/cancel-queries.ts";
import { prometheusQuery } from "./prometheus/query.ts";

/** What actions need of the configuration beyond their target. */
export interface ActionSettings {
  /** The Prometheus that `prometheus.query` asks; null where none is configured. */
  readonly prometheusUrl: string | null;
}

/** All actions by name. Throws where two have the same name. */
export function createActions(settings: ActionSettings): ActionRegistry {
  const actions: readonly Action[] = [httpGet, activity, cancelQueries, prometheusQuery(settings.prometheusUrl)];
  const registry = new Map(actions.map((action) => [action.name, action]));
  if (registry.size !== actions.length) throw new Error("Two actions have the same name.");
  return registry;
}
