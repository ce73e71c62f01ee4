/** What is said of every run in the same words: what fired or who asked, on what, how it ended. */

import type { AskReason, Outcome, RunEvent } from "../../domain/event.ts";
import type { JsonObject } from "../../domain/json.ts";
import { isChangeBegun } from "../changes.ts";
import { firingOf } from "../firing.ts";
import { oneLine } from "../one-line.ts";
import type { Subject } from "../way.ts";
import { noted, said } from "./blocks.ts";
import { moment, person } from "./escape.ts";

/** `cancel on youtility3`; just the name where the run has no target. */
export function onTarget(name: string, subject: Subject): string {
  return subject.target === null ? name : `${oneLine(name, 80)} on ${oneLine(subject.target, 60)}`;
}

/** Why there is a run, in one line: the alert with its severity and summary, the request with its reason. Untrusted text. */
export function cause(subject: Subject): string {
  const trigger = triggerOf(subject);
  if (trigger?.kind === "request") return `Asked for: ${trigger.reason}`;
  if (trigger?.kind === "schedule") return `Scheduled for ${trigger.due}`;
  const { labels, annotations } = subject;
  const names = [labels["alertname"] ?? "An alert", labels["severity"], labels["instance"]]
    .filter((one) => one !== undefined && one !== "")
    .map((one) => oneLine(one as string, 100));
  const summary = annotations["summary"] ?? annotations["description"];
  return summary ? `${names.join(", ")}: ${summary}` : names.join(", ");
}

/** The line that says why there is a run, and since when or by whom. */
export function causeBlocks(subject: Subject): readonly JsonObject[] {
  const since = subject.startsAt === null ? [] : [firingSince(subject, subject.startsAt)];
  const by = subject.requestedBy === null ? [] : [`${person(subject.requestedBy)} asked for it.`];
  const ours = [...since, ...by];
  return [said(cause(subject)), ...(ours.length > 0 ? [noted(ours)] : [])];
}

function firingSince(subject: Subject, startsAt: string): string {
  const firing = firingOf(subject);
  if (firing === null) return `Fires since ${moment(startsAt)}.`;
  return `${firing.isOver ? "Fired" : "Has fired"} for ${firing.for}, since ${moment(startsAt)}.`;
}

/** Small print: by which playbook. */
export function byPlaybook(subject: Subject): string {
  return `Playbook ${oneLine(subject.playbook, 100)}${isDryRun(subject) ? ", dry run" : ""}`;
}

/** What the playbook says it does, in one line; empty where its text cannot be read any more. */
export function whatFor({ summary }: Subject): string {
  return summary === null ? "" : oneLine(summary, 250);
}

export function triggerOf(subject: Subject): Extract<RunEvent, { type: "created" }>["trigger"] | null {
  const [created] = subject.story;
  return created?.type === "created" ? created.trigger : null;
}

export function isDryRun(subject: Subject): boolean {
  const [created] = subject.story;
  return created?.type === "created" && created.dryRun;
}

/** Whether the run may have changed something: it began to. */
export function hasApplied(subject: Subject): boolean {
  return subject.story.some(isChangeBegun);
}

export function wasHandedOver(subject: Subject): boolean {
  return subject.story.some((event) => event.type === "escalated" && (event.topic ?? "handed-over") === "handed-over");
}

/** The number of the newest event. */
export function newestSeq(subject: Subject): number {
  return subject.story.at(-1)?.seq ?? 0;
}

/** Whether nothing is left to be done after such an end. */
export function isWell(outcome: Outcome): boolean {
  return outcome === "fixed" || outcome === "nothing-to-do" || outcome === "resolved";
}

/** An outcome in words that need no glossary. */
export function inWords(outcome: Outcome): string {
  const words: Readonly<Record<Outcome, string>> = {
    fixed: "Fixed",
    ineffective: "It did not help",
    "nothing-to-do": "Nothing to do",
    declined: "Declined",
    expired: "Expired",
    cancelled: "Cancelled",
    resolved: "Resolved by itself",
    refused: "Refused",
    failed: "Failed",
    unknown: "Not known whether it worked",
  };
  return words[outcome];
}

/** Why a person is asked, as the end of a sentence. */
export function whyAsked(reason: AskReason): string {
  const words: Readonly<Record<AskReason, string>> = {
    "playbook-asks": "the playbook asks for it",
    "risk-high": "its risk is high",
    "risk-irreversible": "it cannot be undone",
    "budget-spent": "the budget for doing it unasked is spent",
  };
  return words[reason];
}
