/** The explicit list of everything that Paramedic can do. */

import type { Action, ActionRegistry } from "../domain/action.ts";
import { deployRollback } from "./deploy/rollback.ts";
import { archiveMetrics } from "./django/archive-metrics.ts";
import { cleanupMetrics } from "./django/cleanup-metrics.ts";
import { clearCache } from "./django/clear-cache.ts";
import { migrate } from "./django/migrate.ts";
import { report } from "./django/report.ts";
import { warmCaches } from "./django/warm-caches.ts";
import { deleteOld } from "./files/delete-old.ts";
import { diskUsage } from "./files/disk-usage.ts";
import { httpGet } from "./http/get.ts";
import { httpPost } from "./http/post.ts";
import { logsErrors } from "./logs/errors.ts";
import { notifySend, type SendSettings } from "./notify/send.ts";
import { postgresActions } from "./postgres/postgres-actions.ts";
import { prometheusQuery } from "./prometheus/query.ts";
import { prometheusRange } from "./prometheus/range.ts";
import { deleteKeys } from "./redis/delete-keys.ts";
import { roundTrip } from "./redis/round-trip.ts";
import { stats } from "./redis/stats.ts";
import { type ContactWays, reportSend } from "./report/send.ts";
import { systemdJournal } from "./systemd/journal.ts";
import { systemdRestart } from "./systemd/restart.ts";
import { systemdSetEnvironment } from "./systemd/set-environment.ts";
import { systemdStatus } from "./systemd/status.ts";

/** What actions need of the configuration beyond their target. */
export interface ActionSettings {
  /** The Prometheus that `prometheus.query` and `prometheus.range` ask; null where none is configured. */
  readonly prometheusUrl: string | null;
  /** The address of the D-Bus system bus where it is not the usual one; null or left out: the usual one. */
  readonly systemBusAddress?: string | null;
  /** The Slack that `notify.send` speaks in; null or left out: none. */
  readonly slack?: SendSettings | null;
  /** Whom `report.send` reports to; null or left out: whoever a playbook names. */
  readonly contacts?: ContactWays | null;
}

/** All actions by name. Throws where two have the same name. */
export function createActions(settings: ActionSettings): ActionRegistry {
  const bus = { systemBusAddress: settings.systemBusAddress ?? null };
  const actions: readonly Action[] = [
    httpGet,
    httpPost,
    logsErrors,
    diskUsage,
    deleteOld,
    deployRollback(bus),
    ...postgresActions,
    prometheusQuery(settings.prometheusUrl),
    prometheusRange(settings.prometheusUrl),
    notifySend(settings.slack ?? null),
    reportSend(settings.contacts ?? null),
    stats,
    roundTrip,
    deleteKeys,
    systemdStatus(bus),
    systemdJournal(bus),
    systemdRestart(bus),
    systemdSetEnvironment(bus),
    warmCaches,
    clearCache,
    cleanupMetrics,
    archiveMetrics,
    migrate,
    report,
  ];
  const registry = new Map(actions.map((action) => [action.name, action]));
  if (registry.size !== actions.length) throw new Error("Two actions have the same name.");
  return registry;
}
