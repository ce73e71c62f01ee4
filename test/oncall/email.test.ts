import type { Followed } from "../../src/domain/followed.ts";
import { createEmail, mailTells } from "../../src/oncall/email.ts";
import { followNotice } from "../../src/oncall/follow-notice.ts";
import type { Delivered } from "../../src/oncall/way.ts";
import { happened, historyOf } from "../support/builders.ts";
import { type SmtpDouble, startSmtpDouble } from "../support/smtp-double.ts";
import { until } from "../support/until.ts";
import { afterwards, messageOf, never, noticeOf, retaken, subjectAfter } from "./notices.ts";

const password = "canary/p@ss word%";
const from = "paramedic@youtility.com";
const to = ["ops@youtility.com", "dev@youtility.com"];

let smtp: SmtpDouble;

beforeEach(async () => {
  smtp = await startSmtpDouble({ password });
});

afterEach(() => smtp.stop());

function deliver(over: { readonly url?: string; readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}) {
  const { url = smtp.url, timeoutMs = 5_000, signal = never } = over;
  return createEmail({ smtpUrl: url, from, timeoutMs }).deliver(noticeOf(), to, signal);
}

/** The reason of a failure, which never holds the password in any form. */
function failure(delivered: Delivered) {
  if (delivered.ok) throw new Error("It was delivered.");
  const forms = [password, encodeURIComponent(password), Buffer.from(password).toString("base64"), "canary"];
  for (const form of forms) expect(delivered.reason).not.toContain(form);
  return delivered;
}

test("a mail reaches every recipient as text and HTML, from the configured address", async () => {
  expect(await deliver()).toEqual({ ok: true });
  expect(smtp.mails).toHaveLength(1);
  const mail = smtp.mails[0];
  expect(mail).toMatchObject({ from, to });
  expect(mail?.raw).toContain("Subject: [warning] ineffective: database-overload on youtility3\r\n");
  expect(mail?.raw).toMatch(/From: "?Paramedic"? <paramedic@youtility.com>/);
  expect(mail?.raw).toMatch(/^Message-ID:\s+<0190f3c2-5a5e-7000-8000-00000000abcd\.1\.handed-over@youtility\.com>\r$/m);
  expect(mail?.raw).toContain("Auto-Submitted: auto-generated");
  expect(mail?.raw).toMatch(/text\/plain[\s\S]*text\/html/);
  expect(mail?.raw).not.toMatch(/^In-Reply-To:/m);
});

test("later levels and the recovery are in the thread of the first mail", async () => {
  const { deliver } = createEmail({ smtpUrl: smtp.url, from });
  const story = historyOf(1, { type: "told", way: "email", level: 1, to: "ops" });
  const later = [noticeOf({ story, level: 2 }), noticeOf({ story, kind: "recovered" })];
  for (const notice of [noticeOf(), ...later]) await deliver(notice, to, never);
  const [first, ...others] = smtp.mails.map(({ raw }) => raw.replace(/\r\n[ \t]+/g, " "));
  const id = first?.match(/^Message-ID: (<\S+>)\r$/m)?.[1];
  expect(others).toHaveLength(2);
  for (const raw of others) {
    expect(raw).toContain(`\nIn-Reply-To: ${id}\r\n`);
    expect(raw).toContain(`\nReferences: <0190f3c2-5a5e-7000-8000-00000000abcd@youtility.com> ${id}\r\n`);
  }
});

test("a server that defers is asked again later, one that refuses is not", async () => {
  smtp.fail("defer");
  expect(failure(await deliver())).toEqual({
    ok: false,
    reason: "The SMTP server refused the mail: 451 try again later.",
    retryable: true,
  });
  smtp.fail("refuse");
  expect(failure(await deliver())).toMatchObject({
    retryable: false,
    reason: expect.stringMatching(/^.*550 not here/),
  });
});

test("a server that is not there, resets, or closes is asked again later", async () => {
  smtp.fail("reset");
  expect(failure(await deliver())).toMatchObject({ retryable: true });
  const { url } = smtp;
  await smtp.stop();
  expect(failure(await deliver({ url }))).toMatchObject({
    retryable: true,
    reason: expect.stringContaining("ECONNREFUSED"),
  });
  smtp = await startSmtpDouble({ password });
});

test.each(["hang", "hang-at-greeting", "trickle"] as const)(
  "a server that does %s holds nobody longer than the deadline",
  async (mode) => {
    smtp.fail(mode);
    const begin = performance.now();
    expect(failure(await deliver({ timeoutMs: 300 }))).toMatchObject({ retryable: true });
    expect(performance.now() - begin).toBeLessThan(3_000);
    expect(smtp.mails).toEqual([]);
  },
);

test("an aborted signal and close end a delivery at once", async () => {
  smtp.fail("hang");
  const stop = new AbortController();
  const aborted = deliver({ signal: stop.signal, timeoutMs: 30_000 });
  await until(() => smtp.connections() === 1);
  stop.abort();
  expect(failure(await aborted)).toMatchObject({ retryable: true, reason: expect.stringContaining("Stopped") });

  const email = createEmail({ smtpUrl: smtp.url, from });
  const closed = email.deliver(noticeOf(), to, never);
  await until(() => smtp.connections() === 2);
  email.close();
  expect(failure(await closed)).toMatchObject({ retryable: true, reason: expect.stringContaining("Stopped") });
  expect(await email.deliver(noticeOf(), to, never)).toMatchObject({ ok: false });
  expect(smtp.connections()).toBe(2);
});

test("a refused login is somebody's to correct, and no reason quotes it", async () => {
  expect(failure(await deliver({ url: smtp.urlOfStranger }))).toEqual({
    ok: false,
    reason: "The SMTP server did not accept the login (535). Correct email.smtp, email.from or the recipient.",
    retryable: false,
  });
  smtp.fail("quote-login");
  expect(failure(await deliver()).reason).toContain("550 paramedic [secret] [secret]");
});

test("a recipient who is refused is named, and the others have the mail", async () => {
  smtp.refuseRecipient("dev@youtility.com", 550);
  const reason =
    "The SMTP server refused 1 of 2 recipients (dev@youtility.com: 550 dev@youtility.com is not welcome); the others have it.";
  expect(await deliver()).toEqual({ ok: true, refused: { who: ["dev@youtility.com"], reason } });
  expect(smtp.mails.map((mail) => mail.to)).toEqual([["ops@youtility.com"]]);
  smtp.refuseRecipient("dev@youtility.com", 451);
  expect(failure(await deliver())).toMatchObject({ retryable: true, reached: ["ops@youtility.com"] });
});

test.each([
  ["at once", [550]],
  ["after it was deferred", [451, 550]],
] as const)(
  "a mailbox that is dead %s spoils nothing: the others were told, the history names it, and they hear that it is over",
  async (_when, codes) => {
    const follow = followNotice({
      deliver: createEmail({ smtpUrl: smtp.url, from }).deliver,
      to,
      told: to.join(", "),
      levels: () => 2,
      tells: mailTells,
    });
    const handedOver = [1, happened.escalated(), happened.ended("ineffective")];
    let message = messageOf();
    let followed: Followed | null = null;
    for (const code of codes) {
      smtp.refuseRecipient("dev@youtility.com", code);
      followed = await follow(message, subjectAfter(...handedOver), never);
      message = afterwards(message, followed);
    }
    expect(followed).toMatchObject({
      ok: true,
      told: "ops@youtility.com",
      refused: expect.stringMatching(/^not dev@youtility\.com: The SMTP server refused .*550 dev@/),
    });
    const over = await follow(message, subjectAfter(...handedOver, 9, happened.recovered()), never);
    expect(over).toMatchObject({ ok: true, told: null, done: true });
    expect(smtp.mails.map((mail) => mail.to)).toEqual([["ops@youtility.com"], ["ops@youtility.com"]]);
  },
);

test("a mail that is taken again after whoever sent it was killed has the id that it had", async () => {
  const { deliver } = createEmail({ smtpUrl: smtp.url, from });
  const follow = followNotice({ deliver, to, told: "the people", levels: () => 2, tells: mailTells });
  const handedOver = subjectAfter(1, happened.escalated(), happened.ended("ineffective"));
  for (const message of [messageOf(), retaken(messageOf())]) {
    expect(await follow(message, handedOver, never)).toMatchObject({ ok: true });
  }
  const ids = smtp.mails.map(({ raw }) => raw.match(/^Message-ID:\s+(<\S+>)\r$/m)?.[1]);
  expect(ids).toEqual([ids[0], ids[0]]);
});

test("who has a mail does not get it again when the others are tried again", async () => {
  const follow = followNotice({
    deliver: createEmail({ smtpUrl: smtp.url, from }).deliver,
    to,
    told: to.join(", "),
    levels: () => 2,
    tells: mailTells,
  });
  const handedOver = subjectAfter(1, happened.escalated(), happened.ended("ineffective"));
  smtp.refuseRecipient("dev@youtility.com", 451);
  let message = messageOf();
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const followed = await follow(message, handedOver, never);
    expect(followed).toMatchObject({ ok: false, retryable: true });
    message = afterwards(message, followed);
  }
  smtp.refuseRecipient("dev@youtility.com", null);
  const told = await follow(message, handedOver, never);
  expect(told).toMatchObject({ ok: true, told: "ops@youtility.com, dev@youtility.com", done: false });
  expect(smtp.mails.map((mail) => mail.to)).toEqual([["ops@youtility.com"], ["dev@youtility.com"]]);
  const over = subjectAfter(1, happened.escalated(), happened.ended("ineffective"), 9, happened.recovered());
  expect(await follow(afterwards(message, told), over, never)).toMatchObject({ ok: true, done: true });
  expect(smtp.mails.at(-1)?.to).toEqual(to);
});

test("where all are refused, one who was only deferred is reason enough to try again", async () => {
  smtp.refuseRecipient("ops@youtility.com", 451);
  smtp.refuseRecipient("dev@youtility.com", 550);
  expect(failure(await deliver())).toMatchObject({ retryable: true });
  smtp.refuseRecipient("ops@youtility.com", 550);
  expect(failure(await deliver())).toMatchObject({ retryable: false });
});

test.each([
  ["none", []],
  ["one with a header", ["ops@youtility.com\r\nBcc: all@example.org"]],
  ["two in one", ["ops@youtility.com, all@example.org"]],
  ["one with a name", ["Ops <ops@youtility.com>"]],
])("recipients that are %s get nothing, and no connection is made", async (_case, recipients) => {
  const { deliver } = createEmail({ smtpUrl: smtp.url, from });
  expect(failure(await deliver(noticeOf(), recipients, never))).toMatchObject({ retryable: false });
  expect(smtp.connections()).toBe(0);
});
