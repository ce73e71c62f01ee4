/** Slack's way of announcing: a line before the first change of a run, and a reply that everybody sees when it has ended. */

import type { RunEvent } from "../../domain/event.ts";
import { oneLine } from "../one-line.ts";
import type { Follow, Subject } from "../way.ts";
import { cause, hasApplied, inWords, newestSeq, onTarget } from "./about.ts";
import { counted, noted, type Saying, said, smallPrint, whereToRead } from "./blocks.ts";
import { markup, moment, notification, person } from "./escape.ts";
import { post, standingOf, unfollowed } from "./speak.ts";
import type { WebCall } from "./web-call.ts";

/** The first effects say what it is about; the run's page has them all. */
const mostEffects = 3;
const longestEffect = 200;

/** Announces in `channel`. Kept is where the first line stands and whether the closing one was said. */
export function followAnnouncement(options: { readonly call: WebCall; readonly channel: string }): Follow {
  const { call, channel } = options;
  return async (message, subject, signal) => {
    const announced = subject.story.find((event) => event.type === "announcing");
    const newest = newestSeq(subject);
    const isEnded = subject.ended !== null;
    const at = standingOf(message.place);

    if (!at) {
      // Nothing was said, and nothing was changed: there is nothing to say.
      if (announced?.type !== "announcing" || (isEnded && !hasApplied(subject))) {
        return { ok: true, place: message.place, shownSeq: newest, told: null, done: isEnded };
      }
      const posted = await post(call, channel, [opening(announced, subject)], signal);
      if (!posted.ok) return unfollowed(posted, posted.retryable, message);
      // Where the run has ended already, its end is left to the next call: a failure to say it must not hide that
      // people were told.
      const shownSeq = isEnded ? announced.seq : newest;
      return { ok: true, place: { ...posted.standing }, shownSeq, told: `Slack ${channel}`, done: false };
    }

    let { place } = message;
    if (isEnded && place?.["closed"] !== true) {
      const thread = { ts: at.ts, broadcast: true };
      const closed = await post(call, at.channel, [closing(subject)], signal, thread);
      if (!closed.ok) return unfollowed(closed, closed.retryable, message);
      place = { ...at, closed: true };
    }
    return { ok: true, place, shownSeq: newest, told: null, done: isEnded };
  };
}

type Announcing = Extract<RunEvent, { readonly type: "announcing" }>;

function opening(announced: Announcing, subject: Subject): Saying {
  const { effects, notBefore, at } = announced;
  const isAhead = !subject.ended && !hasApplied(subject);
  const first = effects.slice(0, mostEffects).map((effect) => oneLine(effect, longestEffect));
  const left = effects.length - first.length;
  const what = `${first.join("; ")}${left > 0 ? `; and ${counted(left, "more effect")}` : ""}`;
  const verb = isAhead ? "About to change" : subject.ended ? "Changed" : "Changes";
  const title = `${verb} ${subject.target ?? `something by ${subject.playbook}`}`;
  const when = isAhead && notBefore > at ? [`*Not before ${moment(notBefore)}.*`] : [];
  return {
    text: notification(`${title}: ${what}`, 300),
    blocks: [
      said(`${oneLine(title, 200)}: ${what}`, 1_000),
      ...(when.length > 0 ? [noted(when)] : []),
      said(`Why: ${cause(subject)}`),
      ...(subject.requestedBy === null ? [] : [noted([`${person(subject.requestedBy)} asked for it.`])]),
      smallPrint([markup(whereToRead(subject))]),
    ],
  };
}

function closing(subject: Subject): Saying {
  const { outcome, reason } = subject.ended ?? { outcome: "unknown", reason: "" };
  const what = `${inWords(outcome)}: ${onTarget(subject.playbook, subject)}`;
  const line = hasApplied(subject) ? what : `Nothing was changed. ${what}`;
  return {
    text: notification(line, 300),
    blocks: [said(`${line}. ${oneLine(reason, 300)}`, 600), smallPrint([markup(whereToRead(subject))])],
  };
}
