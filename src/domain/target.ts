/** A target: a system Paramedic may act upon. Only what is listed here is ever touched. */

import type { Labels } from "./alert.ts";
import type { ApprovalDemands } from "./approval-demands.ts";
import type { MaintenanceWindow } from "./maintenance-window.ts";
import type { Network } from "./network.ts";

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
  readonly redis?: RedisTarget;
  readonly systemd?: SystemdTarget;
  readonly django?: DjangoTarget;
  readonly http?: HttpTarget;
  readonly logs?: LogsTarget;
  readonly files?: FilesTarget;
  readonly deploy?: DeployTarget;
}

/** The log files of a target. */
export interface LogsTarget {
  /** Absolute, with wildcards in the name only: `/var/log/shop/*.log`. Never empty. */
  readonly files: readonly string[];
  /** The zone of times that are written without one; that of this host where left out. */
  readonly timeZone?: string;
}

/** The folders of a target in which old files may be deleted. */
export interface FilesTarget {
  /** Absolute. Never empty, and never a folder of the system. */
  readonly folders: readonly string[];
}

/** How a target's code is deployed: a git checkout, and what has to happen after another version was checked out. */
export interface DeployTarget {
  /** The folder of the checkout. */
  readonly checkout: string;
  /** Which tags are versions: a pattern such as `v*`. */
  readonly tags: string;
  /** The program and its arguments that install what the checked-out version needs. Left out: nothing does. */
  readonly dependencies?: readonly string[];
  /** The caches of the Django project that are cleared. */
  readonly caches: readonly string[];
  /** The units that are restarted at the end, in this order; each is one of `systemd.units`. */
  readonly restart: readonly string[];
}

/** The HTTP server of a target and what may be sent there. */
export interface HttpTarget {
  readonly baseUrl: string;
  /** The path below it that answers 2xx while the target is well; asked after a restart. */
  readonly healthPath?: string;
  /** How far requests may go. Left out: into private networks where the base URL names a host that is plainly private. */
  readonly network?: Network;
  /** What `http.post` may send to. Left out: nothing. */
  readonly post?: readonly HttpPost[];
}

/** A path below the base URL that accepts a POST. */
export interface HttpPost {
  readonly path: string;
  /** The path that tells whether the request with an Idempotency-Key was carried out. */
  readonly statusPath?: string;
}

/** The database of a target and whose queries there may be touched. */
export interface PostgresTarget {
  readonly url: string;
  /** Roles whose sessions may be seen and cancelled. Never empty. */
  readonly users: readonly string[];
  /** Databases in which sessions may be seen and cancelled. Never empty. */
  readonly databases: readonly string[];
  /** Schemas whose tables and indexes may be looked at and maintained; `public` where left out. */
  readonly schemas?: readonly string[];
  /** When tables may be locked for long. Left out: never. */
  readonly maintenance?: readonly MaintenanceWindow[];
  /** The server's data folder, where a worker can see its file system; free space is not known without it. */
  readonly dataFolder?: string;
  /** What must stay free on a disk, in MiB; 1024 where left out. */
  readonly minFreeMiB?: number;
  /** How far a replica may be behind before maintenance is refused, in milliseconds; 30 s where left out. */
  readonly maxReplicationLagMs?: number;
  /** Where backups are written and restored from. */
  readonly backupFolder?: string;
  /** The folder of pg_dump and pg_restore; those of the system's usual folders where left out. */
  readonly binDir?: string;
}

/** The Redis of a target and which of its keys may be deleted. */
export interface RedisTarget {
  readonly url: string;
  /** The patterns, in Redis's own syntax, of keys that may be deleted. Never empty. */
  readonly keyPatterns: readonly string[];
}

/** The units of a target and what may be changed about them. */
export interface SystemdTarget {
  /** Full names such as `nginx.service`. Never empty. */
  readonly units: readonly string[];
  /** The environment variables that may be set, by the name of their service. Left out: none. */
  readonly environment?: Readonly<Record<string, readonly string[]>>;
  /** How long a restarted unit is watched before the restart counts as a success; 10 s where left out. */
  readonly settleMs?: number;
  /** The folder of the journal, where it is not this machine's own. */
  readonly journal?: string;
}

/**
 * The Django project of a target. What is called in it is listed here: a name with dots is something to call
 * (`apps.core.cache_manager.TreeCache.warm_cache`), one without is a management command (`archive_metrics`).
 */
export interface DjangoTarget {
  /** The folder that holds `manage.py`. */
  readonly project: string;
  /** The project's own interpreter. */
  readonly python: string;
  /** The settings module. */
  readonly settings: string;
  /** The environment of what is called, which sees nothing of Paramedic's own. May hold secrets. */
  readonly env: Readonly<Record<string, string>>;
  /** What `django.warm-caches` calls, in this order. */
  readonly warmUp: readonly string[];
  /** What `django.report` may call. */
  readonly reports: readonly string[];
  readonly metrics: {
    /** Called with `hours`; removes what is older. */
    readonly cleanUp?: string | undefined;
    /** Called with `days`; archives what is older. */
    readonly archive?: string | undefined;
    /** Called with `hours`; answers how many metrics are older. It must only read. */
    readonly count?: string | undefined;
  };
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
