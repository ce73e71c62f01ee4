/** The bodies of PagerDuty's Events API v2: what a notice becomes there, within its limits. */

import { createHash } from "node:crypto";
import type { event } from "@pagerduty/pdjs";
import type { Labels } from "../domain/alert.ts";
import { firingOf } from "./firing.ts";
import { foundIn } from "./found.ts";
import { oneLine } from "./one-line.ts";
import { namesIn } from "./people-names.ts";
import { openQuestionOf } from "./question.ts";
import { retell } from "./retell.ts";
import { actionAndRisk } from "./risk.ts";
import type { Notice } from "./way.ts";

type EventBody = Parameters<typeof event>[0]["data"];
/** PagerDuty's own four severities. */
export type Severity = EventBody["payload"]["severity"];

/** Values of the alert's `severity` label, in lower case, and what they are to PagerDuty. */
export type SeverityTable = Readonly<Record<string, Severity>>;

/** An alert without a known severity pages like an error: that nothing could heal it is no mere warning. */
const unknownSeverity: Severity = "error";
export const defaultSeverities: SeverityTable = {
  critical: "critical",
  error: "error",
  warning: "warning",
  info: "info",
};

const longestSummary = 1_024;
const longestDedupKey = 255;
const longestField = 255;
const longestName = 100;
const longestValue = 300;
const mostLabels = 50;

/** What opens an alert at PagerDuty. Of the alert's labels nothing but its severity decides anything. */
export interface TriggerBody extends EventBody {
  readonly event_action: "trigger";
  readonly dedup_key: string;
}

/** What says that somebody has it, or ends it: PagerDuty wants nothing else, and ignores it where nothing is open. */
export interface FurtherBody {
  readonly routing_key: string;
  readonly event_action: "acknowledge" | "resolve";
  readonly dedup_key: string;
}

/** A change that was applied, for those who ask at PagerDuty what changed. */
export interface AppliedChange {
  readonly run: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly step: string;
  readonly effects: readonly string[];
  /** RFC 3339. */
  readonly at: string;
  readonly url: string | null;
}

/** A change event; it has no severity and opens nothing. */
export interface ChangeBody {
  readonly routing_key: string;
  readonly payload: {
    readonly summary: string;
    readonly source: string;
    readonly timestamp: string;
    readonly custom_details: object;
  };
  readonly links: readonly { readonly href: string; readonly text: string }[];
}

/** The event for a notice: it triggers, acknowledges what somebody has, resolves what has recovered. At most 512 KB. */
export function eventBody(notice: Notice, routingKey: string, severities: SeverityTable): TriggerBody | FurtherBody {
  const address = { routing_key: routingKey, dedup_key: dedupKey(keyOf(notice)) };
  if (notice.kind === "recovered" || notice.kind === "decided") return { ...address, event_action: "resolve" };
  if (notice.kind === "acknowledged") return { ...address, event_action: "acknowledge" };
  const { labels, annotations, target, startsAt } = notice;
  const alert = labels["alertname"] ?? notice.playbook;
  const what = target === null ? alert : `${alert} on ${target}`;
  return {
    ...address,
    event_action: "trigger",
    payload: {
      summary: oneLine(
        `${what}: ${said(annotations["summary"])}${standing(notice)}${reasonOf(notice)}`,
        longestSummary,
      ),
      source: field(target ?? labels["instance"]) ?? "paramedic",
      severity: severityOf(labels, severities),
      ...optional("timestamp", startsAt !== null && !Number.isNaN(Date.parse(startsAt)) ? startsAt : undefined),
      ...optional("component", field(labels["service"] ?? labels["job"])),
      ...optional("group", field(notice.policy)),
      ...optional("class", field(alert)),
      custom_details: details(notice),
    },
    links: links(notice.url),
  };
}

/** The change event for an applied change. */
export function changeBody(change: AppliedChange, routingKey: string): ChangeBody {
  const where = change.target === null ? "" : ` on ${change.target}`;
  const effects = change.effects.slice(0, mostLabels).map((effect) => oneLine(effect, longestValue));
  return {
    routing_key: routingKey,
    payload: {
      summary: oneLine(`Paramedic applied ${change.step} of ${change.playbook}${where}`, longestSummary),
      source: field(change.target) ?? "paramedic",
      timestamp: change.at,
      custom_details: { run: change.run, effects, effects_in_all: change.effects.length },
    },
    links: links(change.url),
  };
}

/** A question has a key of its own; all else that is told of one episode has the episode's. */
function keyOf({ topic, about, episodeKey }: Notice): string {
  return topic === "approval-unasked" ? `${episodeKey}:question:${about}` : episodeKey;
}

/** The key that folds what is told of one episode; a key too long for PagerDuty is replaced by its hash. */
export function dedupKey(episodeKey: string): string {
  if (episodeKey.length <= longestDedupKey) return episodeKey;
  return `paramedic:${createHash("sha256").update(episodeKey).digest("hex")}`;
}

/** What the alert's author says of it, before what became of it. */
function said(summary: string | undefined): string {
  const line = oneLine(summary ?? "", longestValue);
  return line && `${line}; `;
}

function reasonOf({ reason, story }: Notice): string {
  return namesIn(story)(reason);
}

/** How the reason begins. */
function standing({ kind, outcome }: Notice): string {
  if (kind === "held") return "not fixed yet, ";
  if (kind === "approval-unasked") return "a change waits for approval, ";
  return kind === "firing" || outcome === null ? "" : `${outcome}, `;
}

function severityOf(labels: Labels, severities: SeverityTable): Severity {
  const named = labels["severity"]?.toLowerCase() ?? "";
  return Object.hasOwn(severities, named) ? (severities[named] as Severity) : unknownSeverity;
}

function details(notice: Notice): object {
  const question = notice.kind === "approval-unasked" ? openQuestionOf(notice.story) : null;
  const firing = firingOf(notice);
  const found = foundIn(notice.story);
  const what = question && actionAndRisk(question.step, notice);
  return {
    playbook: oneLine(notice.playbook, longestField),
    ...(notice.summary === null ? {} : { does: oneLine(notice.summary, longestValue) }),
    ...(found.length > 0 ? { found } : {}),
    target: notice.target,
    outcome: notice.outcome,
    reason: oneLine(reasonOf(notice), longestSummary),
    since: notice.startsAt,
    ...(firing ? { [firing.isOver ? "fired_for" : "has_fired_for"]: firing.for } : {}),
    told: oneLine(`${notice.policy}, level ${notice.level} of ${notice.levels}`, longestField),
    ...(question
      ? {
          ...(what ? { step: oneLine(`${question.step}: ${what}`, longestField) } : {}),
          waits_for_approval: question.effects.slice(0, mostLabels).map((effect) => oneLine(effect, longestValue)),
        }
      : {}),
    actions: notice.actions.map(({ label, command, request }) => [label, command, request].map(detail)),
    story: retell(notice.story).flatMap(({ at, text, details }) => [`${at} ${text}`, ...details.map(indented)]),
    annotations: bounded(notice.annotations),
    labels: bounded(notice.labels),
    run: notice.run,
  };
}

function detail(line: string): string {
  return oneLine(line, longestSummary);
}

function indented(line: string): string {
  return `    ${line}`;
}

function bounded(labels: Labels): Labels {
  const entries = Object.entries(labels).slice(0, mostLabels);
  return Object.fromEntries(
    entries.map(([name, value]) => [oneLine(name, longestName), oneLine(value, longestValue)] as const),
  );
}

function links(url: string | null): { href: string; text: string }[] {
  return url === null ? [] : [{ href: url, text: "Read the run" }];
}

/** A short field; none where nothing of the text can be shown. */
function field(text: string | null | undefined): string | undefined {
  return oneLine(text ?? "", longestField) || undefined;
}

function optional<Name extends string>(name: Name, value: string | undefined): { readonly [key in Name]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [key in Name]?: string });
}
