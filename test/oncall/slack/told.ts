/** What the tests of Slack's messages tell: runs by their histories, and calls to the Slack double. */

import type { Happening, RunEvent } from "../../../src/domain/event.ts";
import type { Followed } from "../../../src/domain/followed.ts";
import { subjectOf } from "../../../src/oncall/notice.ts";
import { createSlackWeb } from "../../../src/oncall/slack/web.ts";
import type { WebCall } from "../../../src/oncall/slack/web-call.ts";
import type { Message, Subject } from "../../../src/oncall/way.ts";
import { begin, happened, timeAt } from "../../support/builders.ts";
import type { SlackDouble } from "../../support/slack-double.ts";

export const run = "0190f3c2-5a5e-7000-8000-00000000abcd";

export const alert = {
  kind: "alert",
  source: "default",
  fingerprint: "a1b2c3d4e5f60718",
  startsAt: new Date(begin - 120_000).toISOString(),
  labels: { alertname: "DatabaseOverload", severity: "critical", instance: "db-1:9187" } as Readonly<
    Record<string, string>
  >,
  annotations: { summary: "The database of youtility3 is busy" } as Readonly<Record<string, string>>,
  partial: false,
} as const;

export const effects = [
  "cancel the query of pid 4242 (user django, active for 812 s)",
  "cancel the query of pid 4243 (user django, active for 644 s)",
];

/** A run's history after its creation by an alert. A number is the time of what follows, in seconds. */
export function story(...entries: readonly (number | Happening)[]): readonly RunEvent[] {
  return storyOf({}, ...entries);
}

/** The same, created otherwise. */
export function storyOf(
  created: Parameters<typeof happened.created>[0],
  ...entries: readonly (number | Happening)[]
): readonly RunEvent[] {
  const first = happened.created({ playbook: "database-overload", target: "youtility3", trigger: alert, ...created });
  const events: RunEvent[] = [];
  let seconds = 0;
  for (const entry of [first, ...entries]) {
    if (typeof entry === "number") seconds = entry;
    else events.push({ seq: events.length + 1, at: timeAt(seconds), ...entry });
  }
  return events;
}

/** What a run that asks for approval has done before. */
export function asking(over: Partial<Extract<Happening, { type: "approval-requested" }>> = {}): readonly Happening[] {
  const asked = happened.requested({ step: "cancel", expires: 1_800 });
  const request = { ...asked, effects, ...over } as Extract<Happening, { type: "approval-requested" }>;
  return [happened.planned(request.digest, request.effects, "cancel"), request];
}

export function subject(history: readonly RunEvent[], url = "https://paramedic.example.net"): Subject {
  const around = { summary: null, publicUrl: url === "" ? null : url, listenUrl: "http://127.0.0.1:9095" };
  const made = subjectOf(run, history, around);
  if (!made) throw new Error("The history does not begin as one does.");
  return made;
}

export function message(over: Partial<Message> = {}): Message {
  const empty = { about: "", policy: "", level: 0, attempts: 1, fence: 1, place: null, shownSeq: 0 };
  return { id: "m1", runId: run, topic: "record", way: "slack", ...empty, ...over };
}

/** The message as the outbox hands it out after this. */
export function kept(followed: Followed, over: Partial<Message> = {}): Message {
  return message({ ...over, place: followed.place, shownSeq: followed.shownSeq });
}

export const ever = new AbortController().signal;

/** Calls of the double as Paramedic makes them. */
export function callsOf({ apiUrl, botToken }: SlackDouble): WebCall {
  return createSlackWeb({ apiUrl, token: botToken });
}

/** Every text of a message, as a person reads it from the top. */
export function textsOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(textsOf);
  if (typeof value !== "object" || value === null) return [];
  const { type, text } = value as { readonly type?: string; readonly text?: unknown };
  if ((type === "plain_text" || type === "mrkdwn") && typeof text === "string") return [text];
  return Object.values(value).flatMap(textsOf);
}

/** The texts in which Slack reads markup. */
export function markupOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(markupOf);
  if (typeof value !== "object" || value === null) return [];
  const { type, text } = value as { readonly type?: string; readonly text?: unknown };
  if (type === "mrkdwn" && typeof text === "string") return [text];
  return Object.values(value).flatMap(markupOf);
}

/** The buttons of a message, by what stands on them. */
export function buttonsOf(message: { readonly blocks: readonly unknown[] }): readonly (readonly [string, string])[] {
  const elements = message.blocks.flatMap((block) => {
    const { type, elements = [] } = block as { readonly type: string; readonly elements?: readonly unknown[] };
    return type === "actions" ? elements : [];
  });
  return elements.map((element) => {
    const { text, value } = element as { readonly text: { readonly text: string }; readonly value: string };
    return [text.text, value];
  });
}
