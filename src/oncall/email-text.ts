/** What a mail about a run says: subject, ids that keep one thread per run, and the text; email-html.ts has the HTML. */

import type { Labels } from "../domain/alert.ts";
import type { Telling } from "../domain/story.ts";
import { oneLine } from "./one-line.ts";
import { retell } from "./retell.ts";
import type { Notice } from "./way.ts";

const longestSubject = 150;
const longestValue = 1_000;
const longestName = 128;
const mostLabels = 64;

/** A mail's headers, as far as they depend on the notice. None of them is ever made of a label or an annotation. */
export interface MailHeaders {
  readonly subject: string;
  readonly messageId: string;
  /** The run's first mail; null where this is it. */
  readonly inReplyTo: string | null;
}

/** What a mail says, every piece in one line of plain text, not yet escaped for HTML. */
export interface MailContent {
  readonly title: string;
  readonly opening: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly url: string | null;
  /** Ready to paste; empty where nothing is to be acknowledged. */
  readonly acknowledge: readonly string[];
  readonly story: readonly Telling[];
  readonly labels: readonly (readonly [name: string, value: string])[];
  readonly annotations: readonly (readonly [name: string, value: string])[];
}

/**
 * Subject and ids. The ids depend on nothing but the run, its level and kind and the host of `from`: a mail that is
 * delivered twice has one id, and mail programs show it once.
 */
export function mailHeaders(notice: Notice, from: string): MailHeaders {
  const host = token(from.slice(from.lastIndexOf("@") + 1)) || "paramedic";
  const id = (level: number, kind: Notice["kind"]) => `<${token(notice.run)}.${level}.${kind}@${host}>`;
  const first = id(1, "handed-over");
  const messageId = id(notice.level, notice.kind);
  return {
    subject: oneLine(`[paramedic] ${standing(notice)}: ${subjectOf(notice)}`, longestSubject),
    messageId,
    // Where the first level was told by other ways, this id was never sent: the later mails still form one thread.
    inReplyTo: messageId === first ? null : first,
  };
}

/** What the mail says, for text and HTML alike. */
export function mailContent(notice: Notice): MailContent {
  const told = `level ${notice.level} of ${notice.levels} of the policy '${notice.policy}'`;
  const facts: readonly (readonly [string, string | null | undefined])[] = [
    ["Alert", notice.labels["alertname"]],
    ["Severity", notice.labels["severity"]],
    ["On", notice.target],
    ["Since", notice.startsAt],
    ["Playbook", notice.playbook],
    ["Outcome", `${notice.outcome}: ${notice.reason}`],
    ["Told to", told],
    ["Run", notice.run],
  ];
  return {
    title: oneLine(`${standing(notice)}: ${subjectOf(notice)}`, longestSubject),
    opening: opening(notice),
    facts: facts.flatMap(([name, value]) => (value ? [[name, oneLine(value, longestValue)] as const] : [])),
    url: notice.url,
    acknowledge:
      notice.kind === "handed-over"
        ? [notice.acknowledge.command, notice.acknowledge.request].map((line) => oneLine(line, longestValue))
        : [],
    story: retell(notice.story),
    labels: pairs(notice.labels),
    annotations: pairs(notice.annotations),
  };
}

/** The text part. Lines that are not ours are indented or follow a name, so that none can pass for a heading. */
export function mailText(content: MailContent): string {
  const named = (list: MailContent["facts"], mark: string) => list.map(([name, value]) => `  ${name}${mark}${value}`);
  const parts: readonly (readonly string[])[] = [
    [content.title, content.opening],
    named(content.facts, ": "),
    content.url ? [`Read the run: ${content.url}`] : [],
    content.acknowledge.length > 0 ? ["Say that you have it, by one of these:", ...indented(content.acknowledge)] : [],
    ["What was tried:", ...content.story.flatMap(({ at, text, details }) => [`  ${at} ${text}`, ...deep(details)])],
    content.annotations.length > 0 ? ["Annotations of the alert:", ...named(content.annotations, ": ")] : [],
    content.labels.length > 0 ? ["Labels of the alert:", ...named(content.labels, " = ")] : [],
  ];
  return `${parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

function standing(notice: Notice): string {
  return notice.kind === "recovered" ? "recovered" : notice.outcome;
}

function subjectOf(notice: Notice): string {
  return notice.target === null ? notice.playbook : `${notice.playbook} on ${notice.target}`;
}

function opening(notice: Notice): string {
  if (notice.kind === "recovered") return "What was handed over to you has resolved, or somebody has it.";
  if (notice.outcome === "unknown") return "Paramedic cannot tell whether what it did took effect. Please look.";
  return "Paramedic could not heal this by itself and hands it over to you.";
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

/** What of a text may stand in a message id. */
function token(text: string): string {
  return text.replace(/[^A-Za-z0-9.-]/g, "").slice(0, 200);
}
