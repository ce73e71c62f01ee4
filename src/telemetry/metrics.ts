/** What Paramedic counts and measures, by name, for Prometheus. Names start with `paramedic_` and have base units. */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

import type { IgnoredReason } from "../domain/alert.ts";
import type { Outcome } from "../domain/event.ts";

/** Values that are looked up when metrics are read. Each has one second; a failure shows as NaN. */
export interface Observed {
  /** How long the oldest due run has been due, in seconds; 0 where none is. */
  oldestDueSeconds(): Promise<number>;
  approvalsPending(): Promise<number>;
  /** Messages to people that were given up. */
  deadNotices(): Promise<number>;
  /** When the heartbeat was last heard outside, in seconds since 1970; NaN: never. Null: none is configured. */
  heartbeatSeconds: (() => Promise<number>) | null;
}

export interface Metrics {
  alertsAccepted(count: number): void;
  alertIgnored(reason: IgnoredReason): void;
  webhookAnswered(code: number): void;
  runEnded(outcome: Outcome, playbook: string): void;
  /** `result` is a word such as `done`, `failed`, `unknown`, `nothing-to-do`; the duration is in milliseconds. */
  stepEnded(action: string, result: string, durationMs: number): void;
  railHit(rail: string): void;
  hintsReadded(count: number): void;
  hintsFailed(count: number): void;
  escalated(): void;
  takenOver(): void;
  leaseLost(): void;
  /** By how many seconds our clock is ahead of Slack's, of a signed request. */
  slackClockSkew(seconds: number): void;
  noticeDelivered(way: string): void;
  noticeFailed(way: string, result: "again" | "dead"): void;
  observe(observed: Observed): void;
  /** Prometheus' text format, version 0.0.4. */
  render(): Promise<string>;
  readonly contentType: string;
}

const ignoredReasons: readonly IgnoredReason[] = ["no-playbook", "no-target", "late-duplicate", "resolved", "invalid"];
const observationMs = 1_000;
/** From an instant query to an index that takes an hour. */
const stepSeconds = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

/** Makes all of them in a registry of their own, with the usual ones of the process. */
export function createMetrics(build: { readonly version: string } = { version: "unknown" }): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];

  const accepted = new Counter({
    name: "paramedic_alerts_accepted_total",
    help: "Alerts that were stored and not ignored.",
    registers,
  });
  const ignored = new Counter({
    name: "paramedic_alerts_ignored_total",
    help: "Alerts that started no run, by reason.",
    labelNames: ["reason"],
    registers,
  });
  const webhooks = new Counter({
    name: "paramedic_webhook_requests_total",
    help: "Requests to Alertmanager's webhook, by the status code of the answer.",
    labelNames: ["code"],
    registers,
  });
  const runs = new Counter({
    name: "paramedic_runs_ended_total",
    help: "Runs that ended, by outcome and playbook.",
    labelNames: ["outcome", "playbook"],
    registers,
  });
  const steps = new Histogram({
    name: "paramedic_step_duration_seconds",
    help: "How long steps took, by action and result.",
    labelNames: ["action", "result"],
    buckets: stepSeconds,
    registers,
  });
  const rails = new Counter({
    name: "paramedic_rails_hit_total",
    help: "Changes that a rail held back or turned into a question, by rail.",
    labelNames: ["rail"],
    registers,
  });
  const readded = new Counter({
    name: "paramedic_queue_hints_readded_total",
    help: "Due runs that the reconciler told the queue about again.",
    registers,
  });
  const hintFailures = new Counter({
    name: "paramedic_queue_hint_failures_total",
    help: "Hints that the queue did not take; the reconciler makes up for them.",
    registers,
  });
  const escalations = new Counter({
    name: "paramedic_escalations_total",
    help: "Runs that were handed over to people.",
    registers,
  });
  const takeovers = new Counter({
    name: "paramedic_run_takeovers_total",
    help: "Runs whose lease had expired and that another worker went on with.",
    registers,
  });
  const leasesLost = new Counter({
    name: "paramedic_leases_lost_total",
    help: "Runs that a worker gave up because it could not extend its lease.",
    registers,
  });
  const notices = new Counter({
    name: "paramedic_notices_total",
    help: "Attempts to tell people, by way and result: delivered, again (it is tried again) or dead (given up).",
    labelNames: ["way", "result"],
    registers,
  });
  const skew = new Gauge({
    name: "paramedic_slack_clock_skew_seconds",
    help: "How far our clock was ahead of Slack's at its last signed request; beyond 300 either way, clicks are refused.",
    registers,
  });
  const info = new Gauge({
    name: "paramedic_build_info",
    help: "Always 1; the labels say what is running.",
    labelNames: ["version", "node_version"],
    registers,
  });

  info.set({ version: build.version, node_version: process.version }, 1);
  // A series that appears with its first event has no rate for that event.
  for (const reason of ignoredReasons) ignored.inc({ reason }, 0);

  return {
    alertsAccepted: (count) => accepted.inc(count),
    alertIgnored: (reason) => ignored.inc({ reason }),
    webhookAnswered: (code) => webhooks.inc({ code }),
    runEnded: (outcome, playbook) => runs.inc({ outcome, playbook }),
    stepEnded: (action, result, durationMs) => steps.observe({ action, result }, durationMs / 1_000),
    railHit: (rail) => rails.inc({ rail }),
    hintsReadded: (count) => readded.inc(count),
    hintsFailed: (count) => hintFailures.inc(count),
    escalated: () => escalations.inc(),
    takenOver: () => takeovers.inc(),
    leaseLost: () => leasesLost.inc(),
    slackClockSkew: (seconds) => skew.set(seconds),
    noticeDelivered: (way) => notices.inc({ way, result: "delivered" }),
    noticeFailed: (way, result) => notices.inc({ way, result }),
    observe(observed) {
      observedGauge(
        registry,
        "paramedic_oldest_due_run_age_seconds",
        "How long the oldest due run has been due; 0 where none is.",
        () => observed.oldestDueSeconds(),
      );
      observedGauge(registry, "paramedic_notices_dead", "Messages to people that were given up.", () =>
        observed.deadNotices(),
      );
      if (observed.heartbeatSeconds) {
        observedGauge(
          registry,
          "paramedic_heartbeat_timestamp_seconds",
          "When the heartbeat was last heard by the service outside, in seconds since 1970.",
          observed.heartbeatSeconds,
        );
      }
      observedGauge(registry, "paramedic_approvals_pending", "Approvals that wait for people.", () =>
        observed.approvalsPending(),
      );
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function observedGauge(registry: Registry, name: string, help: string, look: () => Promise<number>): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    async collect() {
      this.set(await inTime(look));
    },
  });
}

/** The value, or NaN: metrics must be readable above all when something is down. */
async function inTime(look: () => Promise<number>): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<number>((resolve) => {
    timer = setTimeout(() => resolve(Number.NaN), observationMs);
  });
  try {
    return await Promise.race([look(), timeout]);
  } catch {
    return Number.NaN;
  } finally {
    clearTimeout(timer);
  }
}
