/** Turns well-formed alerts into episodes and runs: which playbooks answer them, on which targets, stored at once. */

import type { Alert, IgnoredReason } from "../domain/alert.ts";
import type { Trigger } from "../domain/event.ts";
import type { JsonObject } from "../domain/json.ts";
import type { Playbook } from "../domain/playbook.ts";
import { type Target, targetByLabel } from "../domain/target.ts";
import { checkInputs } from "./inputs.ts";
import type { LoadedPlaybook } from "./load.ts";

export interface NewRun {
  readonly id: string;
  readonly playbook: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly trigger: Trigger;
  readonly inputs: JsonObject;
  readonly dryRun: boolean;
  /** Whom to tell unless the run is over by then; null: nobody before it ends. */
  readonly hold: { readonly policy: string; readonly afterMs: number } | null;
}

/** What the store needs to be told of one alert. */
export interface IncomingAlert {
  readonly episodeId: string;
  readonly source: string;
  readonly alert: Alert;
  readonly runs: readonly NewRun[];
}

export interface AcceptedRun {
  readonly id: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly created: boolean;
}

export type Received =
  | { readonly kind: "firing"; readonly runs: readonly AcceptedRun[] }
  | { readonly kind: "ignored"; readonly reason: "late-duplicate" | "resolved" | "invalid" };

export interface AcceptOptions {
  readonly match: (labels: Alert["labels"]) => readonly LoadedPlaybook[];
  readonly targets: readonly Target[];
  /** Commits all of it or rejects. */
  readonly store: (alerts: readonly IncomingAlert[]) => Promise<readonly Received[]>;
  /** Tells the queue, after the commit. */
  readonly hint: (runIds: readonly string[]) => void;
  readonly newId: () => string;
  readonly log: { warn(fields: object, message: string): void };
}

export interface Accepted {
  readonly runs: readonly AcceptedRun[];
  readonly ignored: readonly { readonly fingerprint: string; readonly reason: IgnoredReason }[];
}

/** All Alertmanagers that know the same alerts are one source: they tell the same episode twice. */
const source = "alertmanager";

export type Accept = (delivery: { readonly alerts: readonly Alert[]; readonly truncated: number }) => Promise<Accepted>;

export function createAccept(options: AcceptOptions): Accept {
  return async ({ alerts, truncated }) => {
    const answers = alerts.map((alert) => answerTo(options, alert, truncated > 0));
    const received = await options.store(
      alerts.map((alert, index) => ({
        episodeId: options.newId(),
        source,
        alert,
        runs: answers[index]?.runs ?? [],
      })),
    );
    const runs: AcceptedRun[] = [];
    const ignored: { fingerprint: string; reason: IgnoredReason }[] = [];
    for (const [index, one] of received.entries()) {
      const { fingerprint } = alerts[index] as Alert;
      const unanswered = answers[index]?.reason ?? null;
      if (one.kind === "ignored") ignored.push({ fingerprint, reason: one.reason });
      else if (one.runs.length > 0) runs.push(...one.runs);
      else ignored.push({ fingerprint, reason: unanswered ?? "no-playbook" });
    }
    const created = runs.filter((run) => run.created).map((run) => run.id);
    if (created.length > 0) options.hint(created);
    return { runs, ignored };
  };
}

function answerTo(
  options: AcceptOptions,
  alert: Alert,
  partial: boolean,
): { readonly runs: readonly NewRun[]; readonly reason: "no-playbook" | "no-target" | null } {
  if (alert.status === "resolved") return { runs: [], reason: null };
  const matching = options.match(alert.labels);
  if (matching.length === 0) return { runs: [], reason: "no-playbook" };
  const runs: NewRun[] = [];
  for (const { playbook } of matching) {
    const target = targetOf(options.targets, playbook.target, alert);
    if (target === undefined) {
      // The value is what somebody must add to the configuration, or correct in the alert.
      options.log.warn(
        { playbook: playbook.name, fingerprint: alert.fingerprint, ...selecting(playbook.target, alert) },
        "an alert matches a playbook, but no configured target is selected by it",
      );
      continue;
    }
    runs.push({
      id: options.newId(),
      playbook: playbook.name,
      playbookHash: playbook.hash,
      target,
      trigger: {
        kind: "alert",
        source,
        fingerprint: alert.fingerprint,
        startsAt: alert.startsAt,
        labels: alert.labels,
        annotations: alert.annotations,
        partial,
      },
      inputs: defaultInputs(playbook),
      dryRun: false,
      hold: holdOf(playbook),
    });
  }
  return { runs, reason: runs.length === 0 ? "no-target" : null };
}

/** What holds the page for a run of this playbook; null: it is not held, people are told when the run gives up. */
export function holdOf({ escalate }: Playbook): NewRun["hold"] {
  return escalate === null || escalate.holdMs === null ? null : { policy: escalate.policy, afterMs: escalate.holdMs };
}

/** An alert gives no inputs; loading has made sure that each has a default or can be left out. */
function defaultInputs(playbook: Playbook): JsonObject {
  if (playbook.on.request === null) return {};
  const checked = checkInputs(playbook, {});
  return checked.ok ? checked.inputs : {};
}

/** The label that should have selected a target, and its value. */
function selecting(
  choice: Playbook["target"],
  alert: Alert,
): { readonly label: string | null; readonly value: string | null } {
  if (choice === null || !("label" in choice)) return { label: null, value: null };
  return {
    label: choice.label,
    value: Object.hasOwn(alert.labels, choice.label) ? (alert.labels[choice.label] ?? null) : null,
  };
}

/** The name of the target; null where the playbook has none; undefined where the alert selects none. */
function targetOf(
  targets: readonly Target[],
  choice: LoadedPlaybook["playbook"]["target"],
  alert: Alert,
): string | null | undefined {
  if (choice === null) return null;
  if ("name" in choice) return choice.name;
  return targetByLabel(targets, choice.label, alert.labels)?.name;
}
