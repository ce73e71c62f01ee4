/** Slack's way of announcing: a line before the first change of a run, and a reply that everybody sees when it has ended. */

import type { RunEvent } from "../../domain/event.ts";
import type { JsonObject } from "../../domain/json.ts";
import { oneLine } from "../one-line.ts";
import type { Follow, Followed, Subject } from "../way.ts";
import { cause, hasApplied, inWords, newestSeq, onTarget } from "./about.ts";
import { counted, noted, type Saying, said, smallPrint, whereToRead } from "./blocks.ts";
import { markup, moment, notification } from "./escape.ts";
import { post, type Refused, type Sayings, standingOf, unfollowed } from "./speak.ts";
import type { WebCall } from "./web-call.ts";

/** The first effects say what it is about; the run's page has them all. */
const mostEffects = 3;
const longestEffect = 200;

/** Announces in `channel`. Kept is where the first line stands and whether the closing one was said. */
export function followAnnouncement(options: { readonly call: WebCall; readonly channel: string }): Follow {
  const { call, channel } = options;
  return async (message, subject, signal) => {
    const announced = subject.story.find((event) => event.type === "announcing");
    const shownSeq = newestSeq(subject);
    const at = standingOf(message.place);
    const applied = hasApplied(subject);
    const isLate = subject.ended !== null;
    const failed = (answer: Refused, place: JsonObject | null): Followed =>
      unfollowed(answer, answer.retryable, { place, shownSeq: place ? shownSeq : message.shownSeq });
    const succeeded = (place: JsonObject | null, told: string | null, done: boolean): Followed =>
      ({ ok: true, place, shownSeq, told, done }) as const;

    // Nothing was said, and nothing was changed: there is nothing to say.
    if (announced?.type !== "announcing" || (!at && isLate && !applied)) {
      return succeeded(message.place, null, isLate);
    }
    let place = message.place;
    let told: string | null = null;
    if (!at) {
      const posted = await post(call, channel, opening(announced, subject), signal);
      if (!posted.ok) return failed(posted, message.place);
      place = { ...posted.standing };
      told = `Slack ${channel}`;
    }
    const standing = standingOf(place);
    if (!subject.ended || !standing || place?.["closed"] === true)
      return succeeded(place, told, subject.ended !== null);
    // What is said first is said before the closing line is tried: a failure there must not hide it.
    if (told !== null) return succeeded(place, told, false);
    const thread = { ts: standing.ts, broadcast: true };
    const closed = await post(call, standing.channel, [closing(subject, applied)], signal, thread);
    if (!closed.ok) return failed(closed, place);
    return succeeded({ ...place, closed: true }, null, true);
  };
}

type Announcing = Extract<RunEvent, { readonly type: "announcing" }>;

function opening(announced: Announcing, subject: Subject): Sayings {
  const { effects, notBefore, at } = announced;
  const isAhead = !subject.ended && !hasApplied(subject);
  const first = effects.slice(0, mostEffects).map((effect) => oneLine(effect, longestEffect));
  const left = effects.length - first.length;
  const what = `${first.join("; ")}${left > 0 ? `; and ${counted(left, "more effect")}` : ""}`;
  const verb = isAhead ? "About to change" : subject.ended ? "Changed" : "Changes";
  const title = `${verb} ${subject.target ?? `something by ${subject.playbook}`}`;
  const when = isAhead && notBefore > at ? [`*Not before ${moment(notBefore)}.*`] : [];
  const saying: Saying = {
    text: notification(`${title}: ${what}`, 300),
    blocks: [
      said(`${oneLine(title, 200)}: ${what}`, 1_000),
      ...(when.length > 0 ? [noted(when)] : []),
      said(`Why: ${cause(subject)}`),
      smallPrint([markup(whereToRead(subject))]),
    ],
  };
  return [saying];
}

function closing(subject: Subject, applied: boolean): Saying {
  const { outcome, reason } = subject.ended ?? { outcome: "unknown", reason: "" };
  const what = `${inWords(outcome)}: ${onTarget(subject.playbook, subject)}`;
  const line = `${applied ? what : `Nothing was changed. ${what}`}`;
  return {
    text: notification(line, 300),
    blocks: [said(`${line}. ${oneLine(reason, 300)}`, 600), smallPrint([markup(whereToRead(subject))])],
  };
}
