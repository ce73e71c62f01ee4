/** What the configuration is, once it has been read, checked and its secrets resolved. */

import type { ApproverSet } from "../domain/approver.ts";
import type { Role } from "../domain/role.ts";
import type { Target } from "../domain/target.ts";
import type { Problem } from "./problems.ts";
import type { Secret } from "./secret.ts";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

export interface Config {
  /** The file that was read, as it was named; null: environment and defaults only. */
  readonly file: string | null;
  /** Where HTTP is served. Port 0 lets the system choose one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** The address that people reach us by, for links, without a final slash; null: the one listened on. */
  readonly publicUrl: string | null;
  readonly log: { readonly level: LogLevel };
  /** Our own Postgres; null: the embedded one in `stateDir`. */
  readonly database: { readonly url: Secret } | null;
  /** The Redis of the queue; null: BullMQ on our Postgres. */
  readonly redis: { readonly url: Secret } | null;
  /** Bearer tokens that Alertmanager may present; at least one. */
  readonly alertmanager: { readonly tokens: readonly Secret[] };
  readonly api: { readonly tokens: readonly ApiToken[] };
  /** The absolute path of the folder whose `*.yaml` are the playbooks. */
  readonly playbooks: string;
  readonly targets: readonly Target[];
  /** Escalation policies by name; levels in the order of their times. */
  readonly escalation: ReadonlyMap<string, readonly EscalationLevel[]>;
  readonly approvals: {
    readonly expireAfterMs: number;
    readonly atLeast: number;
    /** An approval that could not be asked for in Slack for so long goes to the playbook's escalation. */
    readonly escalateAfterMs: number;
  };
  /** Sets of people that playbooks and targets may ask for, by name. */
  readonly approvers: ReadonlyMap<string, ApproverSet>;
  /** Whom playbooks may tell in `notify`, by name. */
  readonly contacts: ReadonlyMap<string, Contact>;
  /** Where changes are announced. */
  readonly announcements: {
    /** A Slack channel; null: not in Slack. Left out of the file, it is Slack's own channel. */
    readonly slack: string | null;
    /** How long a run with `announce: before` waits after the announcement. */
    readonly leadMs: number;
  };
  readonly prometheus: { readonly url: string } | null;
  readonly slack: SlackConfig | null;
  readonly email: { readonly smtp: Secret; readonly from: string } | null;
  readonly pagerduty: {
    /** Where change events go. */
    readonly routingKey: Secret;
    readonly server: string;
    /** Values of the alert's `severity` label, in lower case, and what they are to PagerDuty. */
    readonly severities: Readonly<Record<string, "critical" | "error" | "warning" | "info">>;
  } | null;
  readonly statusPage: StatusPageConfig | null;
  /** What is called while Paramedic is well; it calls people once it hears nothing. */
  readonly heartbeat: { readonly url: Secret; readonly everyMs: number } | null;
  readonly worker: WorkerConfig;
  /** The absolute path of the folder for what this machine keeps: the embedded Postgres and the pause file. */
  readonly stateDir: string;
  /** The absolute path of a file: while it exists, this process's workers start nothing. */
  readonly pauseFile: string;
  /** The largest HTTP bodies that are read, in bytes. */
  readonly limits: { readonly webhookBodyBytes: number; readonly apiBodyBytes: number };
  /** The address of the D-Bus system bus where it is not the usual one (`DBUS_SYSTEM_BUS_ADDRESS`). */
  readonly systemBusAddress: string | null;
  /** Every secret value, also the passwords inside URLs, for the logger to remove wherever it appears. */
  readonly secrets: readonly string[];
  /** What is accepted but will not do what somebody may expect; to be logged at start. */
  readonly warnings: readonly Problem[];
  /** The same, but only where a playbook asks for the approval of two people. */
  readonly warningsForTwo: readonly Problem[];
}

/** A token of the REST API. The name is what the history says about who did something. */
export interface ApiToken {
  readonly name: string;
  readonly role: Role;
  readonly secret: Secret;
  /** The Slack user whose it is; null: it is a person of its own. */
  readonly slack: string | null;
}

/** One level of an escalation policy: who is told, by which ways, how long after the escalation began. */
export interface EscalationLevel {
  readonly afterMs: number;
  readonly email: readonly string[];
  /** A Slack channel; null: not by Slack. */
  readonly slack: string | null;
  /** A PagerDuty routing key; null: not by PagerDuty. */
  readonly pagerduty: Secret | null;
}

/** Somebody a playbook may tell. */
export interface Contact {
  readonly email: readonly string[];
  /** A Slack channel; null: not by Slack. */
  readonly slack: string | null;
  /** A PagerDuty routing key; null: not by PagerDuty. */
  readonly pagerduty: Secret | null;
}

/** Slack, by its Events API (`signingSecret`) or by Socket Mode (`appToken`): exactly one of them is there. */
export interface SlackConfig {
  readonly botToken: Secret;
  readonly signingSecret: Secret | null;
  readonly appToken: Secret | null;
  /** Without a final slash. */
  readonly apiUrl: string;
  readonly channel: string;
  /** Roles by Slack user id. */
  readonly users: ReadonlyMap<string, Role>;
  /** Roles by Slack user group id. */
  readonly groups: ReadonlyMap<string, Role>;
}

export type StatusPageConfig =
  | { readonly kind: "statuspage"; readonly url: string; readonly pageId: string; readonly token: Secret }
  | { readonly kind: "webhook"; readonly url: string; readonly token: Secret | null };

export interface WorkerConfig {
  /** How many runs one process drives at a time. */
  readonly concurrency: number;
  /** For how long a claimed run belongs to its worker without a heartbeat. */
  readonly leaseMs: number;
  /** How long a stopping process waits for the steps it is in. */
  readonly drainMs: number;
  /** How often a worker looks for due runs whose hint was lost. */
  readonly reconcileEveryMs: number;
  /** How long a worker of a target's host is waited for before people are told. */
  readonly hostWaitMs: number;
}
