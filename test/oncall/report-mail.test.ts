/** A report as a mail, handed to a real SMTP server and read by a mail reader. */

import PostalMime from "postal-mime";
import { createEmail, type Email } from "../../src/oncall/email.ts";
import { mailReport } from "../../src/oncall/report-mail.ts";
import { type SmtpDouble, startSmtpDouble } from "../support/smtp-double.ts";
import { afterwards, never, run } from "./notices.ts";
import { plotOf, reportedBy, reportMessage, reportOf } from "./reports.ts";

const from = "paramedic@example.net";
const to = ["ops@example.net", "dev@example.net"];

let smtp: SmtpDouble;
let email: Email;

beforeEach(async () => {
  smtp = await startSmtpDouble();
  email = createEmail({ smtpUrl: smtp.url, from });
});

afterEach(async () => {
  email.close();
  await smtp.stop();
});

const follow = () => mailReport({ send: email.send, from, to });
const read = (at = 0) => PostalMime.parse(Buffer.from(smtp.mails[at]?.raw ?? "", "latin1"));

const report = reportOf({
  table: { columns: ["page", "takes"], rows: [["/slow/", "1.5 s"]] },
  plots: [
    plotOf({ values: [0.6, null, 0.6], before: [0.4, 0.4, 0.4], change: 0.5 }),
    plotOf({ title: "Cache hit rate", unit: "ratio", values: [0.8] }),
  ],
});

test("it has a text part, an HTML part with the table, and the plots as pictures that the HTML shows", async () => {
  const followed = await follow()(reportMessage(), reportedBy(report), never);
  expect(followed).toEqual({ ok: true, place: null, shownSeq: 4, told: to.join(", "), done: true });
  expect(smtp.mails).toHaveLength(1);
  expect(smtp.mails[0]).toMatchObject({ from, to });
  const mail = await read();
  expect(mail.subject).toBe("Weekly report of youtility3, 2026-11-23");
  expect(mail.text?.trimEnd().split("\n")).toEqual([
    "Weekly report of youtility3, 2026-11-23",
    "",
    "  * Warning: responses become slower.",
    "  * All else is well.",
    "",
    "  page    takes",
    "  /slow/  1.5 s",
    "",
    "                            average  before  change  highest",
    "  95 % of responses within  600 ms   400 ms  +50 %   600 ms",
    "  Cache hit rate            80 %     –       –       80 %",
    "",
    `Read the run: https://paramedic.example.net/api/v1/runs/${run}`,
  ]);
  const html = mail.html ?? "";
  expect(html).toMatch(/<li[^>]*>Warning: responses become slower\.<\/li>/);
  expect(html).toMatch(/<td[^>]*>\/slow\/<\/td><td[^>]*>1\.5&nbsp;s<\/td>/);
  expect(html).toContain(`alt="95 % of responses within, average 600 ms, before 400 ms, change +50 %, highest 600 ms"`);
  const shown = [...html.matchAll(/src="cid:([^"]+)"/g)].map(([, id]) => `<${id}>`);
  expect(mail.attachments.map(({ contentId }) => contentId)).toEqual(shown);
  expect(shown).toHaveLength(2);
  for (const { mimeType, disposition, content } of mail.attachments) {
    expect([mimeType, disposition]).toEqual(["image/png", "inline"]);
    const png = Buffer.from(content as ArrayBuffer);
    expect(png.subarray(0, 8)).toEqual(Buffer.from("\x89PNG\r\n\x1a\n", "latin1"));
    // Its width and height, and more than an empty picture has.
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([960, 448]);
    expect(png.length).toBeGreaterThan(8_000);
  }
});

test("windows of one length are named in the table", async () => {
  const week = { values: Array(240).fill(1), before: Array(240).fill(1), change: 0 };
  await follow()(reportMessage(), reportedBy(reportOf({ plots: [plotOf(week)] })), never);
  expect((await read()).text).toMatch(/ last 7 days {2}7 days before {2}change {2}highest\n.* ±0 % /);
});

test("where nothing is known of the time before, the table compares nothing", async () => {
  await follow()(reportMessage(), reportedBy(reportOf({ plots: [plotOf({ stepSeconds: 28_800 })] })), never);
  expect((await read()).text).toMatch(/ last 24 h {2}highest\n {2}95 % of responses within {2}600 ms {5}700 ms\n/);
});

test("what was measured is text and nothing else: it is in no header, and no part of it is live", async () => {
  const evil = `</td><script>alert(1)</script>\r\nBcc: evil@example.net\r\n\r\n<img src="https://evil.example/x">`;
  const hostile = reportOf({
    points: [evil],
    table: { columns: [evil], rows: [[evil]] },
    plots: [plotOf({ title: evil })],
  });
  await follow()(reportMessage(), reportedBy(hostile), never);
  const [mail] = smtp.mails;
  expect(mail?.to).toEqual(to);
  const head = (mail?.raw ?? "").split("\r\n\r\n")[0] ?? "";
  expect(head).not.toMatch(/evil|Warning|Bcc/);
  const { html = "", text = "", attachments } = await read();
  expect(html.match(/<script|<img[^>]+src="(?!cid:)/g)).toBeNull();
  expect(html).toContain("&lt;script&gt;");
  // No line of the text part begins as one of ours.
  expect(text.split("\n").filter((line) => /^(Bcc|<|\S.*evil)/.test(line))).toEqual([]);
  expect(attachments.map(({ filename }) => filename)).toEqual(["plot-1.png"]);
});

test("a mail that is delivered twice has one id, and another step's mail has another", async () => {
  const [subject, message] = [reportedBy(reportOf()), reportMessage()];
  for (let times = 0; times < 2; times++) await follow()(message, subject, never);
  const ids = await Promise.all([0, 1].map(async (at) => (await read(at)).messageId));
  expect(ids).toEqual(Array(2).fill(`<${run}.1.report.say@example.net>`));
  expect((await read()).references).toBe(`<${run}@example.net>`);
});

test("those who have it do not get it again when the others are tried again", async () => {
  smtp.refuseRecipient("dev@example.net", 451);
  const first = await follow()(reportMessage(), reportedBy(reportOf()), never);
  expect(first).toMatchObject({ ok: false, retryable: true, place: { reached: ["ops@example.net"] } });
  smtp.refuseRecipient("dev@example.net", null);
  const second = await follow()(afterwards(reportMessage(), first), reportedBy(reportOf()), never);
  expect(second).toMatchObject({ ok: true, done: true });
  expect(smtp.mails.map((mail) => mail.to)).toEqual([["ops@example.net"], ["dev@example.net"]]);
});

test("who is refused for good keeps nobody else from having been told", async () => {
  smtp.refuseRecipient("dev@example.net", 550);
  expect(await follow()(reportMessage(), reportedBy(reportOf()), never)).toMatchObject({
    ok: true,
    told: "ops@example.net",
    refused: expect.stringContaining("dev@example.net"),
    done: true,
  });
});

test("a run that has no such report is a failure for good", async () => {
  const told = await follow()(reportMessage({ about: "other" }), reportedBy(reportOf()), never);
  expect(told).toMatchObject({ ok: false, retryable: false, reason: "the run has no such report" });
  expect(smtp.mails).toEqual([]);
});
