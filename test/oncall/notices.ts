/** Notices, messages and subjects for the tests of the ways: every value has a default, tests name what matters. */

import type { Happening } from "../../src/domain/event.ts";
import type { Followed } from "../../src/domain/followed.ts";
import { subjectOf } from "../../src/oncall/notice.ts";
import type { Message, Notice, Subject } from "../../src/oncall/way.ts";
import { begin, happened, historyOf } from "../support/builders.ts";

export const run = "0190f3c2-5a5e-7000-8000-00000000abcd";
/** A signal that never aborts. */
export const never = new AbortController().signal;

/** A message that is told for the first time. */
export function messageOf(over: Partial<Message> = {}): Message {
  return {
    id: "0190f3c2-6666-7000-8000-00000000abcd",
    runId: run,
    topic: "handed-over",
    about: "",
    way: "email",
    policy: "database",
    level: 0,
    attempts: 1,
    fence: 1,
    place: null,
    shownSeq: 0,
    ...over,
  };
}

/** The message as the outbox hands it out after this: a failure that may pass counts attempts, a success does not. */
export function afterwards(message: Message, followed: Followed): Message {
  const { place, shownSeq } = followed;
  return { ...retaken(message), place, shownSeq, attempts: followed.ok ? 1 : message.attempts + 1 };
}

/** The message as the outbox hands it out again where whoever had it stopped: that was no attempt. */
export function retaken(message: Message): Message {
  return { ...message, fence: message.fence + 1 };
}

/** What is known of a run that an alert started and of which this happened. */
export function subjectAfter(...entries: readonly (number | Happening)[]): Subject {
  return subjectOf(run, alertHistory(...entries), {
    summary: "Cancel the queries that have been holding the database.",
    publicUrl: "https://paramedic.example.net",
    listenUrl: "http://127.0.0.1:9095",
  }) as Subject;
}

/** The history of a run that an alert started. */
export function alertHistory(...entries: readonly (number | Happening)[]) {
  const created = happened.created({
    playbook: "database-overload",
    target: "youtility3",
    trigger: {
      kind: "alert",
      source: "am",
      fingerprint: "cafe",
      startsAt: new Date(begin - 60_000).toISOString(),
      labels: { alertname: "DatabaseOverload", severity: "critical", instance: "db-1.internal:9187" },
      annotations: { summary: "The database is busy", runbook_url: "https://wiki.example.net/db" },
      partial: false,
    },
  });
  const [, ...later] = historyOf(...entries);
  return [{ seq: 1, at: new Date(begin).toISOString(), ...created }, ...later];
}

/** A run that was escalated with what it tried. */
export function noticeOf(over: Partial<Notice> = {}): Notice {
  return {
    kind: "handed-over",
    topic: "handed-over",
    about: "",
    run: "0190f3c2-5a5e-7000-8000-00000000abcd",
    summary: null,
    changes: new Map(),
    playbook: "database-overload",
    target: "youtility3",
    outcome: "ineffective",
    reason: "the measurement is not as expected after 2m",
    policy: "database",
    level: 1,
    levels: 2,
    episodeKey: "0190f3c2-1111-7000-8000-00000000cafe",
    labels: { alertname: "DatabaseOverload", severity: "warning", service: "yt3", instance: "db-1:9187", job: "pg" },
    annotations: { summary: "The database is busy" },
    startsAt: new Date(begin - 60_000).toISOString(),
    story: historyOf(
      1,
      happened.planned("d1", ["cancel the query of pid 4242, active for 812 s", "cancel the query of pid 4243"]),
      2,
      happened.started(),
      3,
      happened.finished(),
      120,
      happened.checked(false),
      happened.escalated(),
      happened.ended("ineffective"),
    ),
    url: "https://paramedic.example.net/runs/0190f3c2-5a5e-7000-8000-00000000abcd",
    actions: [
      {
        label: "Say that you have it",
        command: "paramedic ack 0190f3c2-5a5e-7000-8000-00000000abcd",
        request:
          "curl -X POST https://paramedic.example.net/api/v1/runs/0190f3c2-5a5e-7000-8000-00000000abcd/acknowledge",
      },
    ],
    ...over,
  };
}

/** What an attacker who may choose labels would try. */
export const evilText =
  "x\r\nBcc: everybody@example.org\r\n\r\n<script>alert(1)</script>\u2028\u202e\u0000<!channel> \"';--";
