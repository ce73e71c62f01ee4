/** What a mail about a run says, and its text part; email-html.ts has the HTML. */

import type { Labels } from "../domain/alert.ts";
import type { Telling } from "../domain/story.ts";
import { isUnmeasured, titleOf } from "./email-headers.ts";
import { firingOf } from "./firing.ts";
import { foundIn } from "./found.ts";
import { oneLine } from "./one-line.ts";
import { namesIn } from "./people-names.ts";
import { openQuestionOf } from "./question.ts";
import { retell } from "./retell.ts";
import { actionAndRisk } from "./risk.ts";
import type { Notice, NoticeAction } from "./way.ts";

const longestValue = 1_000;
const longestName = 128;
const mostLabels = 64;
const mostEffects = 100;

/** What a mail says, every piece in one line of plain text, not yet escaped for HTML. */
export interface MailContent {
  readonly title: string;
  readonly opening: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly url: string | null;
  /** What waits for approval; null where nothing does. */
  readonly question: { readonly heading: string; readonly effects: readonly string[] } | null;
  /** Ready to paste. */
  readonly actions: readonly NoticeAction[];
  readonly story: readonly Telling[];
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly annotations: readonly (readonly [name: string, value: string])[];
}

/** What the mail says, for text and HTML alike. */
export function mailContent(notice: Notice): MailContent {
  const { labels, annotations, outcome } = notice;
  const reason = namesIn(notice.story)(notice.reason);
  const firing = firingOf(notice);
  const facts: readonly (readonly [string, string | null | undefined])[] = [
    ["Alert", labels["alertname"]],
    ["Severity", labels["severity"]],
    ["Summary", annotations["summary"]],
    ["Runbook", annotations["runbook_url"]],
    ["On", notice.target],
    ...foundIn(notice.story).map((line) => ["Found", line] as const),
    ["Since", firing ? `${notice.startsAt}, for ${firing.for}` : notice.startsAt],
    ["Playbook", notice.playbook],
    ["Does", notice.summary],
    outcome === null || notice.kind === "recovered" ? ["Why", reason] : ["Outcome", `${outcome}: ${reason}`],
    ["Told to", toldTo(notice)],
    ["Run", notice.run],
  ];
  return {
    title: titleOf(notice),
    opening: isUnmeasured(notice)
      ? "The alert that you were told of has resolved. Nothing was changed, and nothing was measured."
      : opening(notice),
    facts: facts.flatMap(([name, value]) => (value ? [[name, oneLine(value, longestValue)] as const] : [])),
    url: notice.url,
    question: questionOf(notice),
    actions: notice.actions.map(({ label, command, request }) => ({
      label: oneLine(label, longestName),
      command: oneLine(command, longestValue),
      request: oneLine(request, longestValue),
    })),
    story: retell(notice.story),
    labels: pairs(labels),
    annotations: pairs(annotations),
  };
}

/** The text part. Lines that are not ours are indented or follow a name, so that none can pass for a heading. */
export function mailText(content: MailContent): string {
  const { question } = content;
  const named = (list: MailContent["facts"], mark: string) => list.map(([name, value]) => `  ${name}${mark}${value}`);
  const parts: readonly (readonly string[])[] = [
    [content.title, content.opening],
    named(content.facts, ": "),
    content.url ? [`Read the run: ${content.url}`] : [],
    question ? [question.heading, ...indented(question.effects)] : [],
    ...content.actions.map(({ label, command, request }) => [
      `${label}, by one of these:`,
      ...indented([command, request]),
    ]),
    ["What was done:", ...content.story.flatMap(({ at, text, details }) => [`  ${at} ${text}`, ...deep(details)])],
    content.annotations.length > 0 ? ["Annotations of the alert:", ...named(content.annotations, ": ")] : [],
    content.labels.length > 0 ? ["Labels of the alert:", ...named(content.labels, " = ")] : [],
  ];
  return `${parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

function opening({ kind, outcome, startsAt }: Notice): string {
  switch (kind) {
    case "firing":
      return startsAt === null
        ? "Paramedic runs a playbook. Nothing is asked of you."
        : "This alert fires, and Paramedic runs its playbook. Nothing is asked of you.";
    case "held":
      return outcome === null
        ? "The playbook has not fixed this in the time that it was given. It goes on."
        : "The playbook has not fixed this in the time that it was given.";
    case "approval-unasked":
      return "A change waits for approval and could not be asked for in Slack. Unless somebody approves it, it is not made.";
    case "acknowledged":
      return "Somebody has what you were told of.";
    case "decided":
      return "The change that you were told of does not wait for approval any more.";
    case "recovered":
      return "What you were told of is over.";
    case "handed-over":
      return outcome === "unknown"
        ? "Paramedic cannot tell whether what it did took effect. Please look."
        : "Paramedic could not heal this by itself and hands it over to you.";
    default:
      return kind satisfies never;
  }
}

function toldTo({ kind, policy, level, levels }: Notice): string | null {
  if (kind === "recovered" || kind === "decided" || kind === "acknowledged") return null;
  if (kind === "firing") return `the contact '${policy}' of the playbook`;
  return `level ${level} of ${levels} of the policy '${policy}'`;
}

function questionOf(notice: Notice): MailContent["question"] {
  const { kind, story } = notice;
  const question = kind === "approval-unasked" ? openQuestionOf(story) : null;
  if (!question) return null;
  const effects = question.effects.slice(0, mostEffects).map((effect) => oneLine(effect, longestValue));
  const left = question.effects.length - effects.length;
  const what = actionAndRisk(question.step, notice);
  return {
    heading: `What waits for approval (${oneLine(`${question.step}${what && `: ${what}`}`, 2 * longestName)}), until ${question.expiresAt}:`,
    effects: left > 0 ? [...effects, `… and ${left} more`] : effects,
  };
}

function indented(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}

function deep(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `      ${line}`);
}

function pairs(labels: Labels): readonly (readonly [string, string])[] {
  return Object.entries(labels)
    .slice(0, mostLabels)
    .map(([name, value]) => [oneLine(name, longestName), oneLine(value, longestValue)] as const);
}
