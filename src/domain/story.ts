/** A run's history as people read it: one sentence for each event, the same in a terminal, a message or a mail. */

import { formatDuration } from "./duration.ts";
import type { AskReason, BudgetUse, Outcome, RunEvent, Trigger } from "./event.ts";
import type { Json } from "./json.ts";
import type { EscalationTopic, Topic } from "./topic.ts";

/** One event told. `details` are lines that belong to it, such as the effects of a plan. */
export interface Telling {
  readonly at: string;
  readonly text: string;
  readonly details: readonly string[];
  /** `good` and `bad` are endings and measurements; `ask` waits for people. */
  readonly tone: "plain" | "good" | "bad" | "ask";
}

/** Tells one event. Values of labels and outputs stand in it as they are: escape them for where they are shown. */
export function tell(event: RunEvent): Telling {
  const { text, details = [], tone = "plain" } = sentence(event);
  return { at: event.at, text, details, tone };
}

interface Sentence {
  readonly text: string;
  readonly details?: readonly string[];
  readonly tone?: Telling["tone"];
}

function sentence(event: RunEvent): Sentence {
  switch (event.type) {
    case "created":
      return {
        text: `${startedBy(event.trigger)}: playbook '${event.playbook}'${event.target ? ` on ${event.target}` : ""}${event.dryRun ? ", dry run" : ""}`,
      };
    case "taken-over":
      return { text: `Its worker stopped; ${event.worker} goes on` };
    case "set-aside":
      return {
        text: `${event.worker} cannot carry out the playbook text that the run started with; it waits for another worker`,
      };
    case "step-skipped":
      return { text: `Skipped ${event.step}: '${event.condition}' does not hold` };
    case "step-passed-over":
      return { text: `Went on without ${event.step}, which cannot be told: ${event.reason}`, tone: "bad" };
    case "step-observed":
      return { text: `Looked (${event.step}): ${event.found ?? brief(event.output)}` };
    case "step-planned":
      return event.effects.length === 0
        ? { text: `Planned ${event.step}: nothing to do` }
        : { text: `Planned ${event.step}: ${count(event.effects.length, "effect")}`, details: event.effects };
    case "rails-checked":
      return { text: `Checked the rails of ${event.step}: ${rails(event.budget, event.coolDownUntil)}` };
    case "approval-requested":
      return {
        text: `Asks for approval of ${event.step} (${event.reasons.map(whyAsked).join(", ")}), until ${event.expiresAt}`,
        details: event.effects,
        tone: "ask",
      };
    case "approval-answered":
      return {
        text: `${event.by} ${event.decision === "approve" ? "approved" : "declined"} ${event.step}${event.reason ? `: ${event.reason}` : ""}${event.state === "pending" ? "; another approval is needed" : ""}`,
      };
    case "approval-expired":
      return { text: `Nobody answered about ${event.step} in time`, tone: "bad" };
    case "approval-voided":
      return { text: `The question about ${event.step} was withdrawn: ${event.reason}` };
    case "answer-refused":
      return { text: `${event.by} may not decide about ${event.step}: ${event.reason}` };
    case "approvers-checked":
      return event.allowed
        ? { text: `Those who approved ${event.step} may still do so` }
        : { text: `The approval of ${event.step} does not count any more: ${event.reason ?? "no reason recorded"}` };
    case "announcing":
      return {
        text: `Announces ${event.step} (${event.places.join(", ")}); it is not applied before ${event.notBefore}`,
        details: event.effects,
      };
    case "step-started":
      return { text: `Applies ${event.step}, exactly as planned` };
    case "step-finished":
      return { text: `Applied ${event.step}: ${brief(event.result)}` };
    case "mitigation-began":
      return { text: `What ${event.step} changed is put back ${whenReverted(event)}`, details: event.effects };
    case "mitigation-ended":
      if (event.reason !== undefined)
        return { text: `Nothing of what was changed for a time is left to put back: ${event.reason}` };
      return event.reverted
        ? { text: "What was changed for a time is put back", tone: "good" }
        : { text: "What was changed for a time is still in force: it could not be put back", tone: "bad" };
    case "mitigation-decided":
      return {
        text: `${event.by} ${event.decision === "keep" ? "keeps what was changed for a time" : "has it put back now"}: ${event.reason}`,
      };
    case "moved-to-host":
      return { text: `Left to a worker of ${event.host}` };
    case "arrived-at-host":
      return { text: `Taken by ${event.worker} of ${event.host}` };
    case "step-failed":
      return {
        text: `Failed ${event.step} (${event.during}): ${event.reason}${event.retryable ? "; it may be tried again" : ""}`,
        tone: "bad",
      };
    case "step-in-doubt":
      return { text: `Whether ${event.step} took effect is not known: ${event.reason}`, tone: "bad" };
    case "step-probed":
      return { text: `Asked the system whether ${event.step} took effect: ${event.answer}` };
    case "verification-checked":
      return {
        text: `Measured: ${event.passed ? "as expected" : "not as expected"}, ${event.reason ?? event.found ?? brief(event.output)}`,
        tone: event.passed ? "good" : "bad",
      };
    case "alert-resolved":
      return { text: "The alert resolved" };
    case "cancel-requested":
      return { text: `${event.by} cancels: ${event.reason}` };
    case "notifying":
      return event.ways.length > 0
        ? { text: `Tells ${event.contact} (${event.ways.join(", ")})` }
        : { text: `Does not tell ${event.contact}: ${event.reason ?? "it has no way"}` };
    case "escalated":
      return {
        text: `${escalated(event.topic ?? "handed-over")}${event.policy ? ` (${event.policy})` : ""}: ${event.reason}`,
        tone: "bad",
      };
    case "ended":
      return { text: `Ended ${event.outcome}: ${event.reason}`, tone: toneOf(event.outcome) };
    case "told":
      return event.refused === undefined
        ? { text: `Told ${event.to}${about(event)}` }
        : { text: `Told ${event.to}${about(event)}, but ${event.refused}`, tone: "bad" };
    case "not-told":
      return { text: `Could not tell anybody by ${event.way}${about(event)}: ${event.reason}`, tone: "bad" };
    case "acknowledged":
      return { text: `${event.by} has it` };
    case "acknowledge-refused":
      return { text: `${event.by} may not have it: ${event.reason}` };
    case "recovery-checked":
      return event.passed
        ? { text: "The alert resolved, and every check of the playbook holds", tone: "good" }
        : { text: `The alert resolved, but ${event.reason ?? "a check of the playbook does not hold"}`, tone: "bad" };
    case "recovered":
      return { text: `Recovered: ${event.reason}`, tone: "good" };
    default:
      return event satisfies never;
  }
}

function escalated(topic: EscalationTopic): string {
  const words: Readonly<Record<EscalationTopic, string>> = {
    "handed-over": "Handed over to people",
    held: "Tells people while it goes on",
    "approval-unasked": "Asks people another way",
  };
  return words[topic];
}

/** What somebody was told about, in brackets. */
function about({ topic, level }: { readonly topic?: Topic; readonly level: number }): string {
  if (topic === "notify") return " of the alert";
  if (topic === "announcement") return " what is about to change";
  if (topic === "changes") return " what was changed";
  if (topic === "report") return " what is reported";
  return topic === "record" ? "" : ` (level ${level})`;
}

/** In words, as in `at 2026-01-01T00:00:00Z, or when the alert resolves`. */
export function whenReverted(end: {
  readonly revertAt: string | null;
  readonly onResolved: boolean;
  readonly onEnd?: readonly string[];
}): string {
  return [
    ...(end.revertAt === null ? [] : [`at ${end.revertAt}`]),
    ...(end.onResolved ? ["when the alert resolves"] : []),
    ...(end.onEnd?.includes("verified") ? ["when it is verified to have helped"] : []),
    ...(end.onEnd?.includes("declined") ? ["when a later step is declined"] : []),
  ].join(", or ");
}

function startedBy(trigger: Trigger): string {
  switch (trigger.kind) {
    case "alert":
      return `${trigger.labels["alertname"] ?? "An alert"} fires since ${trigger.startsAt}`;
    case "request":
      return `${trigger.by} asked (${trigger.reason})`;
    case "mitigation":
      return `Puts back what ${trigger.step} of run ${trigger.run} changed (${trigger.reason})`;
    case "schedule":
      return `Scheduled for ${trigger.due}`;
  }
}

function whyAsked(reason: AskReason): string {
  const words: Readonly<Record<AskReason, string>> = {
    "playbook-asks": "the playbook asks for it",
    "risk-high": "its risk is high",
    "risk-irreversible": "it cannot be undone",
    "budget-spent": "the budget is spent",
  };
  return words[reason];
}

function rails(budget: readonly BudgetUse[], coolDownUntil: string | null): string {
  const uses = budget.map(({ used, limit, windowMs }) => `${used} of ${limit} in ${formatDuration(windowMs)}`);
  return [...uses, coolDownUntil ? `cool-down until ${coolDownUntil}` : "no cool-down in force"].join(", ");
}

function toneOf(outcome: Outcome): Telling["tone"] {
  return outcome === "fixed" || outcome === "nothing-to-do" || outcome === "resolved" ? "good" : "bad";
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

const longestBrief = 160;

/** The fields of a flat value, lists by their length; long ones are cut. */
function brief(value: Json): string {
  if (value === null) return "nothing more to tell";
  const text =
    typeof value === "object" && !Array.isArray(value)
      ? fields(value as { readonly [key: string]: Json })
      : leaf(value);
  return text.length > longestBrief ? `${text.slice(0, longestBrief - 1)}…` : text;
}

function fields(value: { readonly [key: string]: Json }): string {
  const told = Object.entries(value).map(([name, one]) => `${name} ${leaf(one)}`);
  return told.length > 0 ? told.join(", ") : "nothing more to tell";
}

function leaf(value: Json): string {
  if (Array.isArray(value))
    return value.length <= 3 && value.every((one) => typeof one !== "object")
      ? `[${value.join(", ")}]`
      : `${value.length}`;
  if (typeof value === "number") return String(Math.round(value * 100) / 100);
  if (typeof value === "object") return value === null ? "none" : "{…}";
  return String(value);
}
