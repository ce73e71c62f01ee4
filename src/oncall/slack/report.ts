/** Tells a report in Slack: its sentences, word for word, and where the rest is. */

import { oneLine } from "../one-line.ts";
import { noReport, reportIn, type ToldReport } from "../report.ts";
import type { Follow } from "../way.ts";
import { header, type Saying, smallPrint, whereToRead } from "./blocks.ts";
import { markup, notification, plainLines } from "./escape.ts";
import { post, unfollowed } from "./speak.ts";
import type { WebCall } from "./web-call.ts";

const longestPoint = 300;

/** Told once, in `channel`. */
export function followReport({ call, channel }: { readonly call: WebCall; readonly channel: string }): Follow {
  return async (message, subject, signal) => {
    const told = reportIn(message, subject);
    if (!told) return noReport(message);
    const posted = await post(call, channel, [saying(told)], signal);
    if (!posted.ok) return unfollowed(posted, posted.retryable, message);
    const shownSeq = subject.story.at(-1)?.seq ?? message.shownSeq;
    return { ok: true, place: { ...posted.standing }, shownSeq, told: `Slack ${channel}`, done: true };
  };
}

function saying(told: ToldReport): Saying {
  const { title, report } = told;
  const points = report.points.map((point) => oneLine(point, longestPoint));
  return {
    text: notification(`${title}: ${points.join(" ")}`, 300),
    blocks: [
      header(title),
      { type: "section", text: plainLines(points.map((point) => `• ${point}`)) },
      smallPrint([markup(whereToRead(told))]),
    ],
  };
}
