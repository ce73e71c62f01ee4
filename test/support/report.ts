/** What people get of a report: the message in Slack and the mail, as their programs show them. */

import PostalMime from "postal-mime";
import { textsOf } from "../oncall/slack/told.ts";
import { type Callers, messagesAbout } from "./callers.ts";
import { until } from "./until.ts";

export interface ReportMail {
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** The pictures that the HTML shows, in its order. */
  readonly pictures: readonly Buffer[];
}

/** Waits for the mail by which a run reports. Fails where its HTML shows a picture that did not come with it. */
export async function reportMail({ mail }: Callers, run: string): Promise<ReportMail> {
  const isReport = (raw: string) => new RegExp(`^Message-ID:\\s+<${run}\\.1\\.report\\.\\w+@`, "im").test(raw);
  const { raw, to } = await until(() => mail.mails.find((one) => isReport(one.raw)), {
    timeoutMs: 30_000,
    what: () => `the mail of the report of ${run}; there are ${mail.mails.map((one) => one.raw.slice(0, 300))}`,
  });
  const { subject = "", text = "", html = "", attachments } = await PostalMime.parse(Buffer.from(raw, "latin1"));
  const pictures = [...html.matchAll(/src="cid:([^"]+)"/g)].map(([, id]) => {
    const picture = attachments.find(({ contentId }) => contentId === `<${id}>`);
    if (picture?.mimeType !== "image/png") throw new Error(`The mail shows ${id}, which it does not have.`);
    return Buffer.from(picture.content as ArrayBuffer);
  });
  return { to, subject, text, html, pictures };
}

/** The messages in Slack by which a run reports, as they are shown: title, sentences, where the rest is. */
export function reportsInSlack(callers: Callers, run: string): readonly (readonly string[])[] {
  return messagesAbout(callers, run).map(({ blocks }) => textsOf(blocks));
}

/** Whether it is the picture of a plot, twice as many dots as its pixels, and not an empty one. */
export function isPlot(picture: Buffer): boolean {
  const isPng = picture.subarray(0, 8).equals(Buffer.from("\x89PNG\r\n\x1a\n", "latin1"));
  return isPng && picture.readUInt32BE(16) === 960 && picture.readUInt32BE(20) === 448 && picture.length > 8_000;
}
