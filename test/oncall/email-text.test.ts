import type { Happening } from "../../src/domain/event.ts";
import type { Topic } from "../../src/domain/topic.ts";
import { mailHeaders } from "../../src/oncall/email-headers.ts";
import { mailHtml } from "../../src/oncall/email-html.ts";
import { mailContent, mailText } from "../../src/oncall/email-text.ts";
import { furtherNotice, noticeOf as noticeAbout } from "../../src/oncall/notice.ts";
import type { Notice } from "../../src/oncall/way.ts";
import { happened, historyOf } from "../support/builders.ts";
import { evilText, messageOf, noticeOf, run, subjectAfter } from "./notices.ts";

const from = "paramedic@youtility.com";

test("the subject says how badly, what became of it, by which playbook, where, and nothing that the alert says", () => {
  const subject = (over: Parameters<typeof noticeOf>[0]) => mailHeaders(noticeOf(over), from).subject;
  expect(subject({})).toBe("[warning] ineffective: database-overload on youtility3");
  expect(subject({ target: null })).toBe("[warning] ineffective: database-overload");
  expect(subject({ labels: { alertname: "A", severity: "CRITICAL" } })).toBe(
    "[critical] ineffective: database-overload on youtility3",
  );
  expect(subject({ labels: { alertname: "A", severity: "page" } })).toBe(
    "ineffective: database-overload on youtility3",
  );
  expect(subject({ labels: {} })).toBe("ineffective: database-overload on youtility3");
  const kinds = ["firing", "held", "approval-unasked", "handed-over", "recovered"] as const;
  expect(kinds.map((kind) => subject({ kind, outcome: null, labels: {}, target: null }))).toEqual([
    "firing: database-overload",
    "not fixed yet: database-overload",
    "waits for approval: database-overload",
    "handed over: database-overload",
    "recovered: database-overload",
  ]);
});

test("subject and title are one short line, whatever the alert and the playbook are called", () => {
  const labels = { alertname: evilText.repeat(3), severity: evilText.repeat(3) };
  const notice = noticeOf({ labels, playbook: evilText, target: "😀".repeat(300) });
  const { subject } = mailHeaders(notice, from);
  expect(subject).toMatch(/^ineffective: x Bcc[^\p{Cc}]*…$/u);
  const { title } = mailContent(notice);
  expect(title).toMatch(
    /^x Bcc: everybody@example\.org [^\p{Cc}\p{Zl}\p{Cf}]+… \(x [^\p{Cc}]+…\) ineffective: x Bcc[^\p{Cc}]*…$/u,
  );
  for (const line of [subject, title]) {
    expect(line.length).toBeLessThanOrEqual(150);
    expect(line.isWellFormed()).toBe(true);
  }
});

test("the mail begins with what fires, which is what a telephone shows below the subject", () => {
  expect(mailText(mailContent(noticeOf()))).toMatch(
    /^DatabaseOverload \(warning\) ineffective: database-overload on youtility3\n/,
  );
});

test("the mails of a run have ids of their own, and refer to the run and to those that came before", () => {
  const told = (level: number, topic?: Topic): Happening => ({
    type: "told",
    way: "email",
    level,
    to: "ops",
    ...(topic === undefined ? {} : { topic }),
  });
  const thread = `<${run}@youtility.com>`;
  const id = (level: number, kind: string) => `<${run}.${level}.${kind}@youtility.com>`;
  const first = mailHeaders(noticeOf(), from);
  expect(first).toMatchObject({ messageId: id(1, "handed-over"), inReplyTo: null, references: [thread] });
  const story = historyOf(1, told(1, "notify"), { ...told(1), way: "pagerduty" } as Happening, told(1), told(2));
  expect(mailHeaders(noticeOf({ story, kind: "recovered" }), from)).toMatchObject({
    messageId: id(1, "handed-over.recovered"),
    inReplyTo: id(1, "notify"),
    references: [thread, id(1, "notify"), id(1, "handed-over"), id(2, "handed-over")],
  });
  // Delivered again, since nobody knew that it had been delivered: it is the same mail.
  expect(mailHeaders(noticeOf({ story, level: 2 }), from)).toMatchObject({
    messageId: id(2, "handed-over"),
    references: [thread, id(1, "notify"), id(1, "handed-over")],
  });
  expect(mailHeaders(noticeOf({ run: "other" }), from).messageId).not.toBe(first.messageId);
});

test("two questions of a run are two mails, each refers to what came before, and so are two that say it is over", () => {
  const asking = (about: string, story: Notice["story"] = []) =>
    mailHeaders(noticeOf({ kind: "approval-unasked", topic: "approval-unasked", about, story }), from);
  const [first, second] = [asking("a1"), asking("a2")];
  expect(second.messageId).not.toBe(first.messageId);
  const told: Happening = { type: "told", way: "email", level: 1, to: "ops", topic: "approval-unasked", about: "a1" };
  expect(asking("a2", historyOf(1, told))).toMatchObject({
    inReplyTo: first.messageId,
    references: [`<${run}@youtility.com>`, first.messageId],
  });
  const over = (["notify", "handed-over", "held"] as const).map(
    (topic) => mailHeaders(noticeOf({ kind: "recovered", topic }), from).messageId,
  );
  expect(new Set(over).size).toBe(3);
});

test("an id holds nothing that could end it", () => {
  expect(mailHeaders(noticeOf({ run: "a>\r\nBcc: b" }), "p@h>\r\nX: y").messageId).toBe("<aBccb.1.handed-over@hXy>");
});

test("the text says what is wrong, since when, what was tried with its effects, and how to acknowledge", () => {
  const notice = noticeOf();
  const text = mailText(mailContent(notice));
  for (const expected of [
    "DatabaseOverload (warning) ineffective: database-overload on youtility3",
    "Alert: DatabaseOverload",
    "On: youtility3",
    "Since: 2026-01-05T09:59:00.000Z",
    "ineffective: the measurement is not as expected after 2m",
    "level 1 of 2 of the policy 'database'",
    "2026-01-05T10:00:01.000Z Planned change: 2 effects",
    "      cancel the query of pid 4242, active for 812 s",
    "Say that you have it, by one of these:",
    "  paramedic ack 0190f3c2",
    "  curl -X POST https://",
    `Read the run: ${notice.url}`,
    "severity = warning",
    "summary: The database is busy",
  ]) {
    expect(text).toContain(expected);
  }
});

test("what was found stands among the facts", () => {
  const story = historyOf(happened.observed("look", "40 sessions wait"), happened.observed("cache", evilText));
  const lines = mailText(mailContent(noticeOf({ story }))).split("\n");
  expect(lines).toContain("  Found: 40 sessions wait");
  expect(lines.filter((line) => line.startsWith("  Found: "))).toHaveLength(2);
  expect(lines.join("\n")).not.toMatch(/^Bcc/m);
});

test("what the alert's author says stands near the top, with the runbook", () => {
  const annotations = { runbook_url: "https://wiki.example.net/db", summary: "The database is busy", more: "…" };
  const lines = mailText(mailContent(noticeOf({ annotations }))).split("\n");
  expect(lines.slice(3, 7)).toEqual([
    "  Alert: DatabaseOverload",
    "  Severity: warning",
    "  Summary: The database is busy",
    "  Runbook: https://wiki.example.net/db",
  ]);
  expect(mailHtml(mailContent(noticeOf({ annotations })))).not.toContain('href="https://wiki');
});

test("a change that waits for approval stands before how to approve it, whole", () => {
  const subject = subjectAfter(1, happened.planned(), {
    ...happened.requested({ digest: "sha256:aa" }),
    effects: ["restart youtility3.service", evilText],
  } as Happening);
  const notice = noticeAbout(messageOf({ topic: "approval-unasked" }), subject, 1);
  const text = mailText(mailContent(notice));
  const at = (part: string) => text.indexOf(part);
  expect(text).toContain("Unless somebody approves it, it is not made.");
  expect(at("What waits for approval (change), until 2026-01-05T10:10:00.000Z:\n  restart you")).toBeGreaterThan(0);
  expect(at("Approve, by one of these:\n  paramedic approve 0190")).toBeGreaterThan(at("restart youtility3.service"));
  expect(at('"decision":"decline","digest":"sha256:aa"')).toBeGreaterThan(at("Decline, by one of these"));
  const html = mailHtml(mailContent(notice));
  expect(html).toContain("<li>restart youtility3.service</li>");
  expect(html).toContain("&quot;digest&quot;:&quot;sha256:aa&quot;");
  expect(html).not.toContain("<script");
});

test("it says how risky what waits is, what the playbook does, and for how long it has fired", () => {
  const subject = subjectAfter(60, happened.planned(), happened.requested({ digest: "sha256:aa" }));
  const changes = new Map([["change", { action: "patient.operate", risk: "high" as const }]]);
  const text = mailText(mailContent(noticeAbout(messageOf({ topic: "approval-unasked" }), { ...subject, changes }, 1)));
  expect(text).toContain("What waits for approval (change: patient.operate, high risk), until");
  expect(text).toContain("  Does: Cancel the queries that have been holding the database.");
  expect(text).toContain("  Since: 2026-01-05T09:59:00.000Z, for 2 minutes\n");
});

test("people have names that can be read outside of Slack", () => {
  const story = historyOf(
    happened.requested({ atLeast: 2 }),
    happened.approvedInPart({ by: "api:night" }),
    { ...happened.declined({ by: "slack:U024BE7LH" }), reason: "see http://api:night.example.net" } as Happening,
    { type: "ended", outcome: "declined", reason: "declined by slack:U024BE7LH: no" },
  );
  const text = mailText(mailContent(noticeOf({ story, reason: "declined by slack:U024BE7LH: no" })));
  expect(text).toContain("Slack user U024BE7LH declined change");
  expect(text).toContain("ineffective: declined by Slack user U024BE7LH: no");
  expect(text).toContain(" night approved change");
  expect(text).not.toContain("slack:U");
});

test("measurements that came out alike are one line with their number", () => {
  const measured = Array.from({ length: 12 }, (_, index) => [10 * (index + 1), happened.checked(false)] as const);
  const story = historyOf(...measured.flat(), 130, happened.checked(true), happened.checked(false, 1));
  const text = mailText(mailContent(noticeOf({ story })));
  expect(text.match(/Measured/g)).toHaveLength(3);
  expect(text).toContain(
    "10:02:00.000Z Measured: not as expected, well false (12 times since 2026-01-05T10:00:10.000Z)",
  );
  expect(text).toContain("10:02:10.000Z Measured: as expected, well true\n");
});

test("HTML says the same, and a link is ours or not there", () => {
  const html = mailHtml(mailContent(noticeOf()));
  for (const expected of ["DatabaseOverload", "pid 4242", "paramedic ack 0190", "width=device-width", "10:00:01"]) {
    expect(html).toContain(expected);
  }
  expect(html.match(/href="[^"]*"/g)).toEqual([`href="${noticeOf().url}"`]);
  expect(mailHtml(mailContent(noticeOf({ url: null })))).not.toContain("href");
});

test("an alert that resolved by itself is told as recovered only where that was measured", () => {
  const mailAfter = (...past: readonly Happening[]) => {
    const subject = subjectAfter(1, happened.resolved(), ...past, happened.ended("resolved"));
    const notice = furtherNotice(noticeAbout(messageOf({ topic: "notify" }), subject, 1), "recovered", subject);
    return `${mailHeaders(notice, from).subject}\n${mailContent(notice).opening}`;
  };
  expect(mailAfter()).toBe(
    "[critical] alert resolved: database-overload on youtility3\n" +
      "The alert that you were told of has resolved. Nothing was changed, and nothing was measured.",
  );
  expect(mailAfter(happened.checked(true))).toBe(
    "[critical] recovered: database-overload on youtility3\nWhat you were told of is over.",
  );
});

test("what has recovered says why it is over, and no longer how to acknowledge", () => {
  const subject = subjectAfter(1, happened.escalated(), happened.ended("ineffective"), 9, happened.recovered());
  const notice = furtherNotice(noticeAbout(messageOf(), subject, 2), "recovered", subject);
  const text = mailText(mailContent(notice));
  expect(text).toContain("What you were told of is over.");
  expect(text).toContain("Why: the alert resolved, and every check holds");
  expect(text).not.toContain("paramedic ack");
});

test("no label, annotation, name or effect is markup or begins a line of its own", () => {
  const evil = noticeOf({
    playbook: evilText,
    target: evilText,
    reason: evilText,
    policy: evilText,
    startsAt: evilText,
    url: 'https://x/"><script>',
    actions: [{ label: evilText, command: evilText, request: evilText }],
    labels: { alertname: evilText, [evilText]: evilText },
    annotations: { [evilText]: evilText },
    story: historyOf(happened.planned("d", [evilText], evilText), happened.failed("apply", { reason: evilText })),
  });
  const content = mailContent(evil);
  expect(mailHtml(content)).not.toMatch(/<script|<!channel|"><script/);
  expect(mailText(content)).not.toMatch(/^(Bcc|<script)/m);
  expect(mailText(content)).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}]/u);
});

test("a story of any length makes a mail of bounded length that keeps its beginning and its end", () => {
  const effects = Array.from({ length: 500 }, (_, index) => `effect ${index} ${"é".repeat(2_000)}`);
  const many = Array.from({ length: 2_000 }, () => happened.planned("d", effects));
  const text = mailText(mailContent(noticeOf({ story: historyOf(...many, happened.ended("ineffective")) })));
  expect(text).toContain("a test): playbook 'test' on db");
  expect(text).toContain("1802 lines left out");
  expect(text).toContain("… and 450 more");
  expect(text).toContain("Ended ineffective");
  expect(Buffer.byteLength(text)).toBeLessThan(400_000);
});
