/** The headers of a mail about a run: its subject, and ids that keep one thread for each run. */

import type { Topic } from "../domain/topic.ts";
import { oneLine } from "./one-line.ts";
import type { Notice } from "./way.ts";

const longestSubject = 150;
const longestTitle = 150;
/** The words for a severity that may stand in a subject. */
const severities = ["critical", "error", "warning", "info"];
const longestAlertName = 60;
const longestSeverity = 20;
const mostReferences = 20;

/** A mail's headers, as far as they depend on the notice. None of them is made of a label. */
export interface MailHeaders {
  readonly subject: string;
  readonly messageId: string;
  /** The run's first mail; null where none is known to have been sent. */
  readonly inReplyTo: string | null;
  /** The thread of the run, then its earlier mails. */
  readonly references: readonly string[];
}

/**
 * Subject and ids. A mail that is delivered twice has one id, and mail programs show it once. All mails of a run refer
 * to one id that no mail has, so that they form one thread whichever of them comes first or is lost.
 */
export function mailHeaders(notice: Notice, from: string): MailHeaders {
  const first = mailId(notice.run, notice, from);
  const messageId = notice.kind === "recovered" ? mailId(notice.run, notice, from, "recovered") : first;
  const earlier = notice.story.flatMap((event) =>
    event.type === "told" && event.way === "email" ? [mailId(notice.run, event, from)] : [],
  );
  const others = [...new Set(earlier)].filter((one) => one !== messageId).slice(0, mostReferences);
  return {
    subject: subjectOf(notice),
    messageId,
    inReplyTo: others[0] ?? null,
    references: [threadId(notice.run, from), ...others],
  };
}

/** The id that all mails of a run refer to, and that no mail has. */
export function threadId(run: string, from: string): string {
  return `<${token(run)}@${mailDomain(from)}>`;
}

/**
 * The id of the mail that tells something about a run, made of all that distinguishes it from the others of that run;
 * with `then`, of what is said afterwards to those who had it.
 */
export function mailId(
  run: string,
  told: { readonly topic?: Topic; readonly about?: string; readonly level: number },
  from: string,
  then?: "recovered",
): string {
  const { topic = "handed-over", about = "", level } = told;
  const parts = [run, String(level), topic, about, then ?? ""].map(token).filter((part) => part !== "");
  return `<${parts.join(".")}@${mailDomain(from)}>`;
}

/**
 * How badly, what became of it, by which playbook, on what: the beginning is what a telephone shows. Nothing in it is an
 * alert's own text: playbooks and targets are configured, and of the severity no word but one of ours.
 */
function subjectOf(notice: Notice): string {
  const { labels, target, playbook } = notice;
  const severity = severities.find((word) => word === labels["severity"]?.toLowerCase());
  const what = `${standing(notice)}: ${target === null ? playbook : `${playbook} on ${target}`}`;
  return oneLine(severity === undefined ? what : `[${severity}] ${what}`, longestSubject);
}

/** The first line of the mail itself, which telephones show below the subject: what fires, and the rest. */
export function titleOf(notice: Notice): string {
  const { labels, target, playbook } = notice;
  const alert = oneLine(labels["alertname"] ?? "", longestAlertName);
  const severity = oneLine(labels["severity"] ?? "", longestSeverity);
  const what = [alert, severity && `(${severity})`, standing(notice)].filter((part) => part !== "").join(" ");
  return oneLine(`${what}: ${target === null ? playbook : `${playbook} on ${target}`}`, longestTitle);
}

/** Whether nothing says that it is over but the alert, which resolved before anything was changed. */
export function isUnmeasured({ kind, outcome, story }: Notice): boolean {
  const isMeasured = story.some(
    (event) => event.type === "recovered" || (event.type === "verification-checked" && event.passed),
  );
  return kind === "recovered" && outcome === "resolved" && !isMeasured;
}

function standing(notice: Notice): string {
  const { kind, outcome } = notice;
  if (isUnmeasured(notice)) return "alert resolved";
  const words: Readonly<Record<Notice["kind"], string>> = {
    firing: "firing",
    held: "not fixed yet",
    "approval-unasked": "waits for approval",
    "handed-over": outcome ?? "handed over",
    acknowledged: "acknowledged",
    decided: "decided",
    recovered: "recovered",
  };
  return words[kind];
}

/** What stands behind the `@` of message ids. */
function mailDomain(from: string): string {
  return token(from.slice(from.lastIndexOf("@") + 1)) || "paramedic";
}

/** What of a text may stand in a message id. */
function token(text: string): string {
  return text.replace(/[^A-Za-z0-9.-]/g, "").slice(0, 200);
}
