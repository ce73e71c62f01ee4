/** What a run's history says about how far it has come. A pure fold over the events; the basis of every decision and of what people are shown. */

import type { Outcome, RunEvent } from "./event.ts";
import type { Json } from "./json.ts";
import { afterEvent, isSettled, type StepProgress, untouched } from "./step-progress.ts";
import { afterMeasuring, type CheckProgress } from "./verify.ts";

export interface Progress {
  readonly steps: ReadonlyMap<string, StepProgress>;
  readonly checks: ReadonlyMap<number, CheckProgress>;
  /** When the last step was settled; verification counts its time from there. */
  readonly settledAt: string;
  /** When the alert resolved; null: it has not. */
  readonly resolvedAt: string | null;
  readonly cancel: { readonly by: string; readonly reason: string } | null;
  readonly ended: { readonly outcome: Outcome; readonly reason: string } | null;
  /** The announcement of the run's first change; null: none was made. */
  readonly announcement: {
    readonly at: string;
    readonly notBefore: string;
    /** The places that do not have it yet, and where it is still tried. */
    readonly open: ReadonlySet<string>;
  } | null;
  /** The entries of `notify` that were decided. */
  readonly notified: ReadonlySet<number>;
  /** Whether people were told by the escalation policy. */
  readonly escalated: boolean;
  /** Whether somebody was, or is being, called to it: by the escalation policy, or a contact by PagerDuty. */
  readonly paged: boolean;
  /** Since when the run has been left to the workers of a host and none of them has taken it; null: it is not. */
  readonly moved: { readonly host: string; readonly at: string } | null;
  /** How often another worker had to take the run over since a step was last settled. */
  readonly takeovers: number;
}

/** Folds a history into how far the run has come. */
export function progressOf(history: readonly RunEvent[]): Progress {
  const steps = new Map<string, StepProgress>();
  const checks = new Map<number, CheckProgress>();
  let settledAt = history[0]?.at ?? "";
  let resolvedAt: string | null = null;
  let cancel: Progress["cancel"] = null;
  let ended: Progress["ended"] = null;
  let announcement: Progress["announcement"] = null;
  const notified = new Set<number>();
  let escalated = false;
  let paged = false;
  let moved: Progress["moved"] = null;
  let takeovers = 0;

  for (const event of history) {
    if (event.type === "announcing") {
      announcement = { at: event.at, notBefore: event.notBefore, open: new Set(event.places) };
      continue;
    }
    if ("step" in event) {
      moved = null;
      const before = steps.get(event.step) ?? untouched;
      const after = afterEvent(before, event);
      steps.set(event.step, after);
      if (isSettled(after) && !isSettled(before)) {
        settledAt = event.at;
        takeovers = 0;
      }
      continue;
    }
    switch (event.type) {
      case "taken-over": {
        takeovers += 1;
        moved = null;
        for (const [id, step] of steps) {
          if (step.state !== "started") continue;
          steps.set(id, {
            ...step,
            state: "in-doubt",
            doubts: step.doubts + 1,
            reason: "the worker stopped while it was applying",
          });
        }
        break;
      }
      case "moved-to-host":
        moved ??= { host: event.host, at: event.at };
        break;
      case "arrived-at-host":
        moved = null;
        break;
      case "mitigation-ended":
      case "mitigation-decided":
        break;
      case "verification-checked":
        moved = null;
        if (!event.passed) for (const [index, check] of checks) checks.set(index, { ...check, held: 0 });
        checks.set(event.check, afterMeasuring(checks.get(event.check), event));
        break;
      case "alert-resolved":
        resolvedAt ??= event.at;
        break;
      case "cancel-requested":
        cancel ??= { by: event.by, reason: event.reason };
        break;
      case "ended":
        ended = { outcome: event.outcome, reason: event.reason };
        break;
      case "notifying":
        notified.add(event.entry);
        paged ||= event.ways.includes("pagerduty");
        break;
      case "escalated":
        escalated = true;
        paged = true;
        break;
      case "told":
      case "not-told":
        if (event.topic === "announcement" && announcement) {
          const open = new Set([...announcement.open].filter((place) => place !== event.way));
          announcement = { ...announcement, open };
        }
        break;
      case "created":
      case "set-aside":
      case "acknowledged":
      case "acknowledge-refused":
      case "recovery-checked":
      case "recovered":
        break;
      default:
        event satisfies never;
    }
  }
  return {
    steps,
    checks,
    settledAt,
    resolvedAt,
    cancel,
    ended,
    announcement,
    notified,
    escalated,
    paged,
    moved,
    takeovers,
  };
}

/** What the steps that are over have seen or reported, by their ids. */
export function outputsOf(progress: Progress): Readonly<Record<string, Json>> {
  const outputs: { [id: string]: Json } = Object.create(null);
  for (const [id, step] of progress.steps) {
    if (step.state === "observed" || step.state === "done") outputs[id] = step.result;
  }
  return outputs;
}
