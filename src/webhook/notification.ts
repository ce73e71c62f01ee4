/**
 * Alertmanager's webhook body, version 4 (its documentation and template/template.go), made into alerts. Strict about
 * what we use, indifferent to fields we do not know, and alert by alert: a bad one never costs the others.
 */

import type { Alert } from "../domain/alert.ts";
import type { FieldProblem, Problem } from "../http/problem.ts";
import { copyAnnotations, copyLabels, isFault } from "./labels.ts";
import { normalizeTime } from "./timestamp.ts";

/** An alert that cannot be taken. `fingerprint` where it has a readable one; `reason` repeats no input. */
export interface InvalidAlert {
  readonly index: number;
  readonly fingerprint: string | null;
  readonly reason: string;
}

export type Notification =
  | {
      readonly ok: true;
      /** Well-formed alerts, those that say the same thing twice only once. */
      readonly alerts: readonly Alert[];
      readonly invalid: readonly InvalidAlert[];
      /** How many alerts were in the body. */
      readonly received: number;
      /** How many alerts Alertmanager left out (`max_alerts`). */
      readonly truncated: number;
      readonly receiver: string;
      readonly groupKey: string;
    }
  | { readonly ok: false; readonly problem: Problem };

/** More alerts than this in one body are refused: a body of our largest size cannot hold as many real ones. */
export const mostAlerts = 50_000;

const longestLink = 16_384;
const longestGroupKey = 65_536;
const noPayload =
  "If this Alertmanager sets `payload` in its webhook_config, remove it: it replaces the body that Paramedic reads.";

/** Parses a body. The problem of a body that is no notification is a 422 with every field at fault. */
export function parseNotification(body: unknown): Notification {
  if (!isObject(body) || body["version"] !== "4") {
    return { ok: false, problem: unsupportedVersion };
  }
  const { alerts, truncatedAlerts = 0, receiver = "", groupKey = "" } = body;
  const errors: FieldProblem[] = [];
  if (!Array.isArray(alerts)) errors.push({ field: "alerts", message: "must be a list" });
  else if (alerts.length > mostAlerts) errors.push({ field: "alerts", message: `must be at most ${mostAlerts}` });
  if (!Number.isSafeInteger(truncatedAlerts) || (truncatedAlerts as number) < 0) {
    errors.push({ field: "truncatedAlerts", message: "must be a whole number, not negative" });
  }
  if (!isText(receiver, longestGroupKey)) errors.push({ field: "receiver", message: "must be text" });
  if (!isText(groupKey, longestGroupKey)) errors.push({ field: "groupKey", message: "must be text" });
  if (errors.length > 0) return { ok: false, problem: { ...unexpectedShape, errors } };

  return {
    ok: true,
    ...parseAlerts(alerts as readonly unknown[]),
    received: (alerts as readonly unknown[]).length,
    truncated: truncatedAlerts as number,
    receiver: receiver as string,
    groupKey: groupKey as string,
  };
}

function parseAlerts(entries: readonly unknown[]): { alerts: readonly Alert[]; invalid: readonly InvalidAlert[] } {
  const alerts = new Map<string, Alert>();
  const invalid: InvalidAlert[] = [];
  entries.forEach((entry, index) => {
    const alert = parseAlert(entry);
    if (typeof alert === "string") {
      invalid.push({ index, fingerprint: isObject(entry) ? fingerprintOf(entry) : null, reason: alert });
      return;
    }
    const identity = `${alert.fingerprint} ${alert.status} ${alert.startsAt}`;
    if (!alerts.has(identity)) alerts.set(identity, alert);
  });
  return { alerts: [...alerts.values()], invalid };
}

/** The alert, or in one sentence why it is none. */
function parseAlert(entry: unknown): Alert | string {
  if (!isObject(entry)) return "the alert must be an object";
  const { status } = entry;
  if (status !== "firing" && status !== "resolved") return "status must be firing or resolved";
  const fingerprint = fingerprintOf(entry);
  if (fingerprint === null) return "fingerprint must be 16 hexadecimal digits in lower case";
  const startsAt = normalizeTime(entry["startsAt"]);
  if (startsAt === null || startsAt === "zero") return "startsAt must be a time in RFC 3339";
  const endsAt = entry["endsAt"] === undefined || entry["endsAt"] === null ? "zero" : normalizeTime(entry["endsAt"]);
  if (endsAt === null) return "endsAt must be a time in RFC 3339";
  const labels = copyLabels(entry["labels"]);
  if (isFault(labels)) return labels.reason;
  const annotations = copyAnnotations(entry["annotations"]);
  if (isFault(annotations)) return annotations.reason;
  return {
    status,
    labels,
    annotations,
    startsAt,
    // Senders other than Alertmanager tell a firing alert's expected end here; it has not ended.
    endsAt: status === "firing" || endsAt === "zero" ? null : endsAt,
    fingerprint,
    generatorURL: linkOf(entry["generatorURL"]),
  };
}

function fingerprintOf(entry: Readonly<Record<string, unknown>>): string | null {
  const { fingerprint } = entry;
  return typeof fingerprint === "string" && /^[0-9a-f]{16}$/.test(fingerprint) ? fingerprint : null;
}

/** A link for people. One that is not to be clicked is left out; that is no reason to lose the alert. */
function linkOf(value: unknown): string {
  return isText(value, longestLink) && /^https?:\/\//i.test(value) ? value : "";
}

function isText(value: unknown, longest: number): value is string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  return typeof value === "string" && value.length <= longest && !/[\u0000-\u001f]/.test(value) && value.isWellFormed();
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const unsupportedVersion: Problem = {
  status: 422,
  name: "unsupported-version",
  title: 'This is not an Alertmanager notification of version "4"',
  detail: `The body must be Alertmanager's webhook JSON with "version": "4". ${noPayload}`,
  errors: [{ field: "version", message: 'must be "4"' }],
};

const unexpectedShape: Problem = {
  status: 422,
  name: "unexpected-shape",
  title: "The notification does not have the shape of version 4",
  detail: noPayload,
};
