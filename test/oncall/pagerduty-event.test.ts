import { noticeOf as noticeAbout } from "../../src/oncall/notice.ts";
import {
  changeBody,
  dedupKey,
  defaultSeverities,
  eventBody,
  type SeverityTable,
  type TriggerBody,
} from "../../src/oncall/pagerduty-event.ts";
import type { Notice } from "../../src/oncall/way.ts";
import { happened, historyOf } from "../support/builders.ts";
import { evilText, messageOf, noticeOf, subjectAfter } from "./notices.ts";

const key = "0123456789abcdef0123456789abcdef";

function trigger(over: Partial<Notice> = {}, severities: SeverityTable = defaultSeverities): TriggerBody {
  const body = eventBody(noticeOf(over), key, severities);
  if (body.event_action !== "trigger") throw new Error("It does not trigger.");
  return body;
}

test("what is handed over triggers, with what is wrong, on what, since when, and what was tried", () => {
  const notice = noticeOf();
  expect(trigger()).toEqual({
    routing_key: key,
    event_action: "trigger",
    dedup_key: notice.episodeKey,
    payload: {
      summary:
        "DatabaseOverload on youtility3: The database is busy; ineffective, the measurement is not as expected after 2m",
      source: "youtility3",
      severity: "warning",
      timestamp: "2026-01-05T09:59:00.000Z",
      component: "yt3",
      group: "database",
      class: "DatabaseOverload",
      custom_details: expect.objectContaining({
        outcome: "ineffective",
        told: "database, level 1 of 2",
        actions: [["Say that you have it", notice.actions[0]?.command, notice.actions[0]?.request]],
        story: expect.arrayContaining([
          "2026-01-05T10:00:01.000Z Planned change: 2 effects",
          "    cancel the query of pid 4242, active for 812 s",
        ]),
        labels: notice.labels,
        annotations: notice.annotations,
      }),
    },
    links: [{ href: notice.url, text: "Read the run" }],
  });
});

test("what was found is among the details", () => {
  const story = historyOf(happened.observed("look", "40 sessions wait"));
  expect(trigger({ story }).payload.custom_details).toMatchObject({ found: ["40 sessions wait"] });
  expect(trigger().payload.custom_details).not.toHaveProperty("found");
});

test("a run that no alert started triggers too", () => {
  const { payload, links } = trigger({ labels: {}, annotations: {}, startsAt: null, target: null, url: null });
  expect(payload).toMatchObject({ source: "paramedic", severity: "error", class: "database-overload" });
  expect(payload).not.toHaveProperty("timestamp");
  expect(payload).not.toHaveProperty("component");
  expect(links).toEqual([]);
});

test("what has recovered resolves the same key and says nothing else", () => {
  expect(eventBody(noticeOf({ kind: "recovered", outcome: "fixed" }), key, defaultSeverities)).toEqual({
    routing_key: key,
    event_action: "resolve",
    dedup_key: trigger().dedup_key,
  });
});

test("what somebody has is acknowledged under the same key", () => {
  expect(eventBody(noticeOf({ kind: "acknowledged" }), key, defaultSeverities)).toEqual({
    routing_key: key,
    event_action: "acknowledge",
    dedup_key: trigger().dedup_key,
  });
});

test.each([
  ["firing", "DatabaseOverload on youtility3: The database is busy; it says why"],
  ["held", "DatabaseOverload on youtility3: The database is busy; not fixed yet, it says why"],
  [
    "approval-unasked",
    "DatabaseOverload on youtility3: The database is busy; a change waits for approval, it says why",
  ],
] as const)("what is told while the run goes on triggers too (%s)", (kind, summary) => {
  expect(trigger({ kind, outcome: null, reason: "it says why" }).payload.summary).toBe(summary);
});

test("a change that waits for approval is there whole, with how to approve it", () => {
  const subject = subjectAfter(1, happened.planned(), happened.requested({ digest: "sha256:aa" }));
  const details = trigger(noticeAbout(messageOf({ topic: "approval-unasked" }), subject, 1)).payload.custom_details;
  expect(details).toMatchObject({ waits_for_approval: ["would change"] });
  expect(JSON.stringify(details)).toContain("sha256:aa");
});

test("it says how risky what waits is, what the playbook does, for how long it has fired, and who decided", () => {
  const subject = subjectAfter(60, happened.planned(), happened.requested({ digest: "sha256:aa" }));
  const changes = new Map([["change", { action: "patient.operate", risk: "high" as const }]]);
  const notice = noticeAbout(messageOf({ topic: "approval-unasked" }), { ...subject, changes }, 1);
  expect(trigger(notice).payload.custom_details).toMatchObject({
    step: "change: patient.operate, high risk",
    does: "Cancel the queries that have been holding the database.",
    has_fired_for: "2 minutes",
  });
  const story = historyOf(happened.requested(), happened.declined({ by: "slack:U024BE7LH" }));
  const { payload } = trigger({ story, reason: "declined by slack:U024BE7LH: no" });
  expect(payload.summary).toBe(
    "DatabaseOverload on youtility3: The database is busy; ineffective, declined by Slack user U024BE7LH: no",
  );
  expect(JSON.stringify(payload)).not.toContain("slack:U");
});

test("every level of an episode has one key, every episode its own", () => {
  expect(trigger({ level: 2, run: "other" }).dedup_key).toBe(trigger().dedup_key);
  const long = "paramedic:".padEnd(300, "s");
  expect(dedupKey(long)).toMatch(/^paramedic:[0-9a-f]{64}$/);
  expect(dedupKey(long)).not.toBe(dedupKey(`${long}2`));
  expect(dedupKey("k".repeat(255))).toBe("k".repeat(255));
});

test.each([
  ["critical", "critical"],
  ["Warning", "warning"],
  ["info", "info"],
  ["error", "error"],
  ["page", "error"],
  ["constructor", "error"],
  ["__proto__", "error"],
])("an alert of severity %s is %s to PagerDuty", (severity, expected) => {
  expect(trigger({ labels: { severity } }).payload.severity).toBe(expected);
});

test("the table of severities is the configuration's", () => {
  const table = { ...defaultSeverities, page: "critical" as const, warning: "info" as const };
  expect(trigger({ labels: { severity: "page" } }, table).payload.severity).toBe("critical");
  expect(trigger({ labels: { severity: "warning" } }, table).payload.severity).toBe("info");
});

test("whatever an alert and a story hold, the event is within PagerDuty's limits", () => {
  const huge = `${evilText}${"\u4e00".repeat(20_000)}`;
  const labels = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`${index}${huge}`, huge]));
  const effects = Array.from({ length: 1_000 }, () => huge);
  const body = trigger({
    playbook: huge,
    target: huge,
    reason: huge,
    policy: huge,
    startsAt: "yesterday",
    episodeKey: huge,
    labels: { ...labels, alertname: huge, service: huge },
    annotations: labels,
    story: historyOf(...Array.from({ length: 1_000 }, () => happened.planned("d", effects, huge))),
  });
  expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThanOrEqual(512_000);
  expect(body.payload.summary.length).toBeLessThanOrEqual(1_024);
  expect(body.dedup_key.length).toBeLessThanOrEqual(255);
  expect(body.payload).not.toHaveProperty("timestamp");
  expect(body.payload.summary).toMatch(/^[^\p{Cc}\p{Cf}]+$/u);
});

test("a label named __proto__ is a label like any other", () => {
  const labels = JSON.parse('{"__proto__": "polluted", "severity": "info"}');
  const sent = JSON.stringify(trigger({ labels }));
  expect(sent).toContain('"__proto__":"polluted"');
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});

test("an applied change says what was done, where and when", () => {
  const change = {
    run: "r1",
    playbook: "database-overload",
    target: "youtility3",
    step: "cancel",
    effects: ["cancel the query of pid 4242"],
    at: "2026-01-05T10:00:03.000Z",
    url: null,
  };
  expect(changeBody(change, key)).toEqual({
    routing_key: key,
    payload: {
      summary: "Paramedic applied cancel of database-overload on youtility3",
      source: "youtility3",
      timestamp: "2026-01-05T10:00:03.000Z",
      custom_details: { run: "r1", effects: ["cancel the query of pid 4242"], effects_in_all: 1 },
    },
    links: [],
  });
});
