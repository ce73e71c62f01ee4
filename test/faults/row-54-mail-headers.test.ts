/** Row 54: line breaks in labels, annotations and names make neither headers nor recipients; the mail as it was on the wire. */

import { createEmail } from "../../src/oncall/email.ts";
import { evilText, noticeOf } from "../oncall/notices.ts";
import { happened, historyOf } from "../support/builders.ts";
import { type SmtpDouble, startSmtpDouble } from "../support/smtp-double.ts";

let smtp: SmtpDouble;

beforeEach(async () => {
  smtp = await startSmtpDouble();
});

afterEach(() => smtp.stop());

const injections = [
  evilText,
  "a\nBcc: everybody@example.org",
  "a\rTo: everybody@example.org",
  "a\r\n.\r\nMAIL FROM:<x@example.org>\r\nRCPT TO:<everybody@example.org>",
  "=?utf-8?Q?a=0D=0ABcc:_everybody@example.org?=",
  "a\u0085Bcc: everybody@example.org\u2028Cc: everybody@example.org",
];

test.each(injections)("a mail about %j has the headers and recipients of any other", async (evil) => {
  const { deliver } = createEmail({ smtpUrl: smtp.url, from: "paramedic@youtility.com" });
  const to = ["ops@youtility.com"];
  const { signal } = new AbortController();
  const evilNotice = noticeOf({
    run: evil,
    playbook: evil,
    target: evil,
    reason: evil,
    policy: evil,
    startsAt: evil,
    episodeKey: evil,
    labels: { alertname: evil, severity: evil, [evil]: evil, to: "everybody@example.org" },
    annotations: { summary: evil, [evil]: evil },
    story: historyOf(happened.planned("d", [evil], evil), happened.failed("apply", { reason: evil })),
    level: 2,
  });
  expect(await deliver(noticeOf({ level: 2 }), to, signal)).toEqual({ ok: true });
  expect(await deliver(evilNotice, to, signal)).toEqual({ ok: true });

  const [usual, evilMail] = smtp.mails;
  expect(smtp.mails).toHaveLength(2);
  expect(evilMail).toMatchObject({ from: "paramedic@youtility.com", to });
  expect(headerNames(evilMail?.raw)).toEqual(headerNames(usual?.raw));
  expect(headerNames(evilMail?.raw).filter((name) => name === "subject")).toHaveLength(1);
  expect(header(evilMail?.raw, "to")).toBe("ops@youtility.com");
  // Playbook and target, which are configured, are as evil here: they make one line of one header.
  expect(
    headers(evilMail?.raw)
      .filter((line) => !line.startsWith("Subject:"))
      .join("\n"),
  ).not.toContain("everybody@");
});

test("no header is made of a label or an annotation; a severity chooses one of four words for the subject", async () => {
  const { deliver } = createEmail({ smtpUrl: smtp.url, from: "paramedic@youtility.com" });
  const labels = { alertname: "canary-a", severity: "critical", team: "canary-b", subject: "canary-c" };
  const notice = noticeOf({ labels, annotations: { summary: "canary-d" } });
  expect(await deliver(notice, ["ops@youtility.com"], new AbortController().signal)).toEqual({ ok: true });
  const canaries = headers(smtp.mails[0]?.raw).filter((line) => line.includes("canary"));
  expect(canaries).toEqual([]);
  expect(header(smtp.mails[0]?.raw, "subject")).toBe("[critical] ineffective: database-overload on youtility3");
  expect(smtp.mails[0]?.raw).toContain("canary-d");
});

/** The unfolded headers of the whole mail, not of its parts. */
function headers(raw = ""): readonly string[] {
  const [head = ""] = raw.split("\r\n\r\n");
  return head.replace(/\r\n[ \t]+/g, " ").split("\r\n");
}

function headerNames(raw?: string): readonly string[] {
  return headers(raw).map((line) => line.slice(0, line.indexOf(":")).toLowerCase());
}

function header(raw: string | undefined, name: string): string | undefined {
  const line = headers(raw).find((one) => one.toLowerCase().startsWith(`${name}: `));
  return line?.slice(name.length + 2);
}
