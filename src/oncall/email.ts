/** The way by e-mail: over the configured SMTP server, to configured recipients, in bounded time. */

import { createTransport, type NodemailerError, type SMTPSentMessageInfo } from "nodemailer";
import { deadlineOf } from "../domain/deadline.ts";
import { mailHeaders } from "./email-headers.ts";
import { mailHtml } from "./email-html.ts";
import { mailContent, mailText } from "./email-text.ts";
import type { Tells } from "./follow-notice.ts";
import { oneLine } from "./one-line.ts";
import type { Deliver, Delivered, Notice } from "./way.ts";
import { within } from "./within.ts";

/** Nobody wants a mail because somebody else has read one. */
export const mailTells: Tells = { acknowledged: false, recovered: true };

const deadlineMs = 30_000;
const connectMs = 10_000;
const silenceMs = 15_000;
const closeMs = 1_000;
const longestAnswer = 200;

/** Nodemailer's codes for what does not pass by itself; see its errors.ts. Replies of the server say it by their class. */
const lasting = new Set(["ECONFIG", "ENOAUTH", "EENVELOPE", "EREQUIRETLS", "EPROXY"]);

/** A mail, but for who gets it. */
export interface Mail {
  /** One line. */
  readonly subject: string;
  readonly messageId: string;
  /** Null: it answers none. */
  readonly inReplyTo: string | null;
  readonly references: readonly string[];
  readonly text: string;
  readonly html: string;
  /** What the HTML shows as `cid:<id>`. */
  readonly pictures?: readonly { readonly id: string; readonly name: string; readonly png: Buffer }[];
}

/** E-mail as one of the ways to reach people. */
export interface Email {
  /** As `deliver`, any mail. */
  readonly send: (mail: Mail, to: readonly string[], signal: AbortSignal) => Promise<Delivered>;
  /** Delivers to all recipients who are not refused for good; where some are to be tried again, says who has it all the same. */
  readonly deliver: Deliver<readonly string[]>;
  /** Gives up what is being delivered. */
  close(): void;
}

/**
 * Prepares deliveries by the server at `smtpUrl` (`smtp://` or `smtps://`, with its login) from the address `from`.
 * A delivery takes at most `timeoutMs` (30 seconds). No reason holds the URL or its password.
 */
export function createEmail(options: {
  readonly smtpUrl: string;
  readonly from: string;
  readonly timeoutMs?: number;
}): Email {
  const { smtpUrl, from, timeoutMs = deadlineMs } = options;
  const transport = createTransport({
    url: smtpUrl,
    connectionTimeout: Math.min(connectMs, timeoutMs),
    greetingTimeout: Math.min(connectMs, timeoutMs),
    socketTimeout: Math.min(silenceMs, timeoutMs),
    socketCloseTimeout: closeMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const closing = new AbortController();
  const hidden = loginsOf(smtpUrl);

  async function send(mail: Mail, to: readonly string[], signal: AbortSignal): Promise<Delivered> {
    const wrong = to.find((address) => !isPlainAddress(address));
    if (to.length === 0) return failed("No recipient is configured for this level. Add an e-mail address.", false);
    if (wrong !== undefined) return failed(`'${oneLine(wrong, 80)}' is no e-mail address. Correct the policy.`, false);
    const { inReplyTo, references, pictures = [], ...said } = mail;
    const ends = deadlineOf([signal, closing.signal], null);
    try {
      const sent = await within(timeoutMs, ends.signal, (given) =>
        transport.sendMail({
          from: { name: "Paramedic", address: from },
          to: to.map((address) => ({ name: "", address })),
          ...said,
          ...(inReplyTo === null ? {} : { inReplyTo }),
          references: [...references],
          // Out-of-office replies to an alert help nobody (RFC 3834).
          headers: { "Auto-Submitted": "auto-generated" },
          attachments: pictures.map(({ id, name, png }) => ({
            cid: id,
            filename: name,
            content: png,
            contentType: "image/png",
            contentDisposition: "inline",
          })),
          signal: given,
        }),
      );
      if (sent.kind === "late") return failed(`The SMTP server did not take the mail in ${timeoutMs} ms.`, true);
      if (sent.kind === "stopped") return failed("Stopped while the SMTP server was taking the mail.", true);
      return toldTo(sent.value, to, hidden);
    } catch (error) {
      return classify(error as NodemailerError, hidden);
    } finally {
      ends.release();
    }
  }

  return {
    send,
    deliver: (notice, to, signal) => send(mailOf(notice, from), to, signal),
    close: () => closing.abort(),
  };
}

function mailOf(notice: Notice, from: string): Mail {
  const content = mailContent(notice);
  return { ...mailHeaders(notice, from), text: mailText(content), html: mailHtml(content) };
}

function toldTo(sent: SMTPSentMessageInfo, to: readonly string[], hidden: readonly string[]): Delivered {
  if (sent.rejected.length === 0) return { ok: true };
  const refused = sent.rejectedErrors ?? [];
  const each = refused.map((error) => `${error.recipient ?? "one"}: ${answerOf(error, hidden)}`).join("; ");
  const counted = `${sent.rejected.length} of ${to.length} recipients`;
  const reason = `The SMTP server refused ${counted} (${oneLine(each, 5 * longestAnswer)}); the others have it.`;
  // An address that is written another way in the answer gets the mail again, rather than never.
  const reached = to.filter((address) => sent.accepted.includes(address));
  if (reached.length === 0 || refused.some((error) => !isLasting(error))) {
    return {
      ...failed(
        reason,
        refused.some((error) => !isLasting(error)),
      ),
      reached,
    };
  }
  return { ok: true, refused: { who: to.filter((address) => !reached.includes(address)), reason } };
}

function classify(error: NodemailerError, hidden: readonly string[]): Delivered {
  const retryable = !isLasting(error);
  const next = retryable ? "" : " Correct email.smtp, email.from or the recipient.";
  // The answer to a login may repeat what was presented, in a form that is not known here.
  if (error.code === "EAUTH" || error.code === "ENOAUTH") {
    return failed(`The SMTP server did not accept the login (${error.responseCode ?? error.code}).${next}`, retryable);
  }
  if (error.responseCode !== undefined) {
    const refused = failed(`The SMTP server refused the mail: ${answerOf(error, hidden)}.${next}`, retryable);
    return error.rejected !== undefined && !retryable ? { ...refused, refusesAll: true } : refused;
  }
  const what = error.originalCode ?? error.timeoutType ?? error.code ?? error.name;
  return failed(`The mail could not be handed to the SMTP server (${oneLine(what, 80)}).${next}`, retryable);
}

/**
 * Everything but a lasting refusal may pass: a server that is down, full, slow or greylisting. Where all recipients are
 * refused, nodemailer's error is that of one who was only deferred, if there is one.
 */
function isLasting(error: NodemailerError): boolean {
  return error.permanent ?? lasting.has(error.code ?? "");
}

function answerOf(error: NodemailerError, hidden: readonly string[]): string {
  const answer = error.response ?? String(error.responseCode ?? error.code ?? error.name);
  return oneLine(
    hidden.reduce((text, secret) => text.replaceAll(secret, "[secret]"), answer),
    longestAnswer,
  );
}

function failed(reason: string, retryable: boolean) {
  return { ok: false, reason, retryable } as const;
}

/** One address and nothing else, so that none can bring a header, a second recipient or a command. */
function isPlainAddress(address: string): boolean {
  return address.length <= 254 && /^[^\s@<>,;:"()[\]\\\p{Cc}]+@[^\s@<>,;:"()\\\p{Cc}]+$/u.test(address);
}

/** The password of an SMTP URL in the forms in which a server could repeat it; the longest first. */
function loginsOf(smtpUrl: string): readonly string[] {
  if (!URL.canParse(smtpUrl)) return [];
  const { username, password } = new URL(smtpUrl);
  if (password === "") return [];
  const [user, plain] = [decoded(username), decoded(password)];
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return [base64(`\u0000${user}\u0000${plain}`), base64(plain), password, plain].sort((a, b) => b.length - a.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
