import { mailHtml } from "../../src/oncall/email-html.ts";
import { mailContent, mailHeaders, mailText } from "../../src/oncall/email-text.ts";
import { happened, historyOf } from "../support/builders.ts";
import { evilText, noticeOf } from "./notices.ts";

const from = "paramedic@youtility.com";

test("the subject says what became of which playbook on which target", () => {
  expect(mailHeaders(noticeOf(), from).subject).toBe("[paramedic] ineffective: database-overload on youtility3");
  expect(mailHeaders(noticeOf({ target: null }), from).subject).toBe("[paramedic] ineffective: database-overload");
  expect(mailHeaders(noticeOf({ kind: "recovered" }), from).subject).toContain("recovered: database-overload");
});

test("the subject is one short line, whatever the playbook is called", () => {
  const { subject } = mailHeaders(noticeOf({ playbook: evilText, target: "😀".repeat(300) }), from);
  expect(subject).toMatch(/^\[paramedic\] ineffective: x Bcc: [^\p{Cc}\p{Zl}\p{Cf}]+…$/u);
  expect(subject.length).toBeLessThanOrEqual(150);
  expect(subject.isWellFormed()).toBe(true);
});

test("the mails of a run have ids of their own and refer to the first", () => {
  const first = mailHeaders(noticeOf(), from);
  const second = mailHeaders(noticeOf({ level: 2 }), from);
  const recovered = mailHeaders(noticeOf({ kind: "recovered" }), from);
  expect(first).toMatchObject({
    messageId: "<0190f3c2-5a5e-7000-8000-00000000abcd.1.handed-over@youtility.com>",
    inReplyTo: null,
  });
  expect([second.inReplyTo, recovered.inReplyTo]).toEqual([first.messageId, first.messageId]);
  expect(new Set([first, second, recovered].map(({ messageId }) => messageId)).size).toBe(3);
  expect(mailHeaders(noticeOf(), from)).toEqual(first);
  expect(mailHeaders(noticeOf({ run: "other" }), from).messageId).not.toBe(first.messageId);
});

test("an id holds nothing that could end it", () => {
  expect(mailHeaders(noticeOf({ run: "a>\r\nBcc: b" }), "p@h>\r\nX: y").messageId).toBe("<aBccb.1.handed-over@hXy>");
});

test("the text says what is wrong, since when, what was tried with its effects, and how to acknowledge", () => {
  const notice = noticeOf();
  const text = mailText(mailContent(notice));
  for (const expected of [
    "ineffective: database-overload on youtility3",
    "Alert: DatabaseOverload",
    "On: youtility3",
    "Since: 2026-01-05T09:59:00.000Z",
    "ineffective: the measurement is not as expected after 2m",
    "level 1 of 2 of the policy 'database'",
    "2026-01-05T10:00:01.000Z Planned change: 2 effects",
    "      cancel the query of pid 4242, active for 812 s",
    notice.acknowledge.command,
    notice.acknowledge.request,
    `Read the run: ${notice.url}`,
    "severity = warning",
    "summary: The database is busy",
  ]) {
    expect(text).toContain(expected);
  }
});

test("HTML says the same, and a link is ours or not there", () => {
  const html = mailHtml(mailContent(noticeOf()));
  for (const expected of ["DatabaseOverload", "pid 4242", "paramedic ack 0190", "width=device-width", "10:00:01"]) {
    expect(html).toContain(expected);
  }
  expect(html.match(/href="[^"]*"/g)).toEqual([`href="${noticeOf().url}"`]);
  expect(mailHtml(mailContent(noticeOf({ url: null })))).not.toContain("href");
});

test("what has recovered asks nobody to acknowledge", () => {
  const text = mailText(mailContent(noticeOf({ kind: "recovered" })));
  expect(text).toContain("has resolved");
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
    acknowledge: { command: evilText, request: evilText },
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
  expect(text).toContain("1802 events left out");
  expect(text).toContain("… and 450 more");
  expect(text).toContain("Ended ineffective");
  expect(Buffer.byteLength(text)).toBeLessThan(400_000);
});
