/** Tells a report by e-mail: as text, as HTML, and with its plots as pictures inside the mail. */

import type { Email, Mail } from "./email.ts";
import { mailId, threadId } from "./email-headers.ts";
import { plotPng } from "./plot-png.ts";
import { amongOthers, toldOf } from "./reached.ts";
import { noReport, reportIn, type ToldReport } from "./report.ts";
import { reportHtml } from "./report-html.ts";
import { reportText } from "./report-text.ts";
import type { Follow } from "./way.ts";

/** Told once, to all of `to`; those who have it do not get it again when the others are tried again. */
export function mailReport(options: {
  readonly send: Email["send"];
  readonly from: string;
  readonly to: readonly string[];
}): Follow {
  const { send, from, to } = options;
  return async (message, subject, signal) => {
    const { place, shownSeq } = message;
    const told = reportIn(message, subject);
    if (!told) return noReport(message);
    const reached = Array.isArray(place?.["reached"]) ? place["reached"].map(String) : [];
    const rest = to.filter((address) => !reached.includes(address));
    const sent = rest.length > 0 ? await send(await mailOf(told, from), rest, signal) : ({ ok: true } as const);
    const answer = amongOthers(sent, rest, reached);
    if (!answer.ok) {
      const { reached: more = [], refusesAll: _, ...failure } = answer;
      return { ...failure, place: { reached: [...reached, ...more] }, shownSeq };
    }
    return {
      ok: true,
      place: null,
      shownSeq: subject.story.at(-1)?.seq ?? shownSeq,
      ...toldOf(answer, to),
      done: true,
    };
  };
}

/** A mail that is delivered twice has one id, and mail programs show it once. Nothing measured is in its headers. */
async function mailOf(told: ToldReport, from: string): Promise<Mail> {
  const messageId = mailId(told.run, { topic: "report", about: told.step, level: 1 }, from);
  const pictures: { id: string; name: string; png: Buffer }[] = [];
  for (const [at, plot] of told.report.plots.entries()) {
    const name = `plot-${at + 1}.png`;
    pictures.push({ id: `${name}.${messageId.slice(1, -1)}`, name, png: await plotPng(plot) });
  }
  return {
    subject: `${told.title}, ${told.day}`,
    messageId,
    inReplyTo: null,
    references: [threadId(told.run, from)],
    text: reportText(told),
    html: reportHtml(
      told,
      pictures.map(({ id }) => id),
    ),
    pictures,
  };
}
