/** Alertmanager's words: an alert as it stands inside a notification, once it has been found well-formed. */

/** Label or annotation names and values. Has no prototype: `__proto__` is a legal Prometheus label name. */
export type Labels = Readonly<Record<string, string>>;

/** One alert inside an Alertmanager notification. Times are RFC 3339 in UTC. */
export interface Alert {
  readonly status: "firing" | "resolved";
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly startsAt: string;
  /** Null while it fires: Alertmanager then sends the zero time. */
  readonly endsAt: string | null;
  /** Alertmanager's 64-bit hash of the label set, as 16 hexadecimal digits. */
  readonly fingerprint: string;
  readonly generatorURL: string;
}

/** Why an alert started no run. */
export type IgnoredReason = "no-playbook" | "no-target" | "late-duplicate" | "resolved" | "invalid";
