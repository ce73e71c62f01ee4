/**
 * Slack's way of telling a run's own message: one per run, which asks while an approval waits and is the record
 * afterwards, with the story in its thread.
 */

import type { Followed } from "../../domain/followed.ts";
import type { JsonObject } from "../../domain/json.ts";
import { oneLine } from "../one-line.ts";
import { lastQuestion, type Question } from "../question.ts";
import type { Follow, Subject } from "../way.ts";
import { newestSeq, onTarget, wasHandedOver } from "./about.ts";
import { counted, noted, type Saying } from "./blocks.ts";
import { moment, notification } from "./escape.ts";
import { recordSaying, roomForEffects } from "./record-blocks.ts";
import {
  digestOf,
  edit,
  isFrozen,
  isGone,
  post,
  type Refused,
  type Sayings,
  type Standing,
  standingOf,
  unfollowed,
} from "./speak.ts";
import { threadReply } from "./thread.ts";
import type { WebCall } from "./web-call.ts";

/** What is kept of a run's message. */
interface Place extends Standing {
  /** What it shows, as a digest; empty: not known. */
  readonly shown: string;
  /** The last event that the thread takes into account. */
  readonly threadSeq: number;
  /** The approval that people were last asked for, and notified of. */
  readonly asked: string | null;
  /** Why it cannot be edited any more; null: it can. */
  readonly lost: "deleted" | "frozen" | null;
  /** The approval for which it was posted in place of one that was lost: it is not posted a third time. */
  readonly anew: string | null;
  /** What became of the message before this one, until the thread has said it. */
  readonly note: string | null;
}

/**
 * Follows runs in `channel`. `place` has `channel`, `ts` and `appId` of the message, and in `asked` the approval that it
 * asks for, once it does. While the run goes on every failure is retryable: whoever mends the channel finds the question
 * there.
 */
export function followRecord(options: { readonly call: WebCall; readonly channel: string }): Follow {
  const { call, channel } = options;
  return async (message, subject, signal) => {
    const question = lastQuestion(subject);
    const pending = question?.state === "pending" ? question : null;
    const sayings = sayingsOf(subject);
    const kept = placeOf(message.place);
    const failed = (answer: Refused, place: Place | null): Followed =>
      unfollowed(answer, answer.retryable || subject.ended === null, {
        place: place && json(place),
        shownSeq: place ? newestSeq(subject) : message.shownSeq,
      });

    const stood = await stand({ call, channel, sayings, pending, kept, signal });
    if (!stood.ok) return failed(stood.answer, stood.place);
    let { place } = stood;

    if (pending && place.asked !== pending.approval && place.lost === null) {
      // An edit notifies nobody.
      const again = await post(call, place.channel, [askingAgain(pending, subject)], signal, {
        ts: place.ts,
        broadcast: true,
      });
      if (!again.ok) return failed(again, place);
      place = { ...place, asked: pending.approval };
    }

    const reply = place.lost === "deleted" ? null : threadReply(subject, place.threadSeq, place.note);
    if (reply) {
      const replied = await post(call, place.channel, [reply], signal, { ts: place.ts, broadcast: false });
      if (!replied.ok) return failed(replied, place);
      // Slack puts replies to a deleted message into the channel, where the next ones must not follow.
      if (!replied.inThread) place = { ...place, lost: "deleted" };
    }
    place = { ...place, threadSeq: newestSeq(subject), note: null };

    if (subject.ended && place.lost !== null) return failed(lostAnswer(place.lost), place);
    const isDone =
      subject.ended !== null && (!wasHandedOver(subject) || subject.acknowledgedBy !== null || subject.recovered);
    return { ok: true, place: json(place), shownSeq: newestSeq(subject), told: null, done: isDone };
  };
}

function sayingsOf(subject: Subject): Sayings {
  return [recordSaying(subject, roomForEffects.usual), recordSaying(subject, roomForEffects.spare)];
}

type Stood =
  | { readonly ok: true; readonly place: Place }
  | { readonly ok: false; readonly answer: Refused; readonly place: Place | null };

/** Brings about that the message shows what it is to show: posts it, edits it, or posts it anew where it was lost. */
async function stand(given: {
  readonly call: WebCall;
  readonly channel: string;
  readonly sayings: Sayings;
  readonly pending: Question | null;
  readonly kept: Place | null;
  readonly signal: AbortSignal;
}): Promise<Stood> {
  const { call, channel, sayings, pending, kept, signal } = given;
  const shown = digestOf(sayings[0]);
  const asked = pending?.approval ?? null;

  async function postAnew(before: Place | null): Promise<Stood> {
    const posted = await post(call, channel, sayings, signal);
    if (!posted.ok) return { ok: false, answer: posted, place: before };
    const { threadSeq = 0, lost = null } = before ?? {};
    const anew = before ? asked : null;
    return {
      ok: true,
      place: { ...posted.standing, shown, threadSeq, asked, lost: null, anew, note: lost && noteOf(lost) },
    };
  }

  if (!kept) return postAnew(null);
  if (kept.lost !== null) return asked !== null && asked !== kept.asked ? postAnew(kept) : { ok: true, place: kept };
  if (kept.shown === shown) return { ok: true, place: kept };
  const edited = await edit(call, kept, sayings, signal);
  if (edited.ok) return { ok: true, place: { ...kept, shown } };
  if (!isGone(edited) && !isFrozen(edited)) return { ok: false, answer: edited, place: kept };
  const lost: Place = { ...kept, lost: isGone(edited) ? "deleted" : "frozen" };
  return asked !== null && asked !== kept.anew ? postAnew(lost) : { ok: true, place: lost };
}

function noteOf(lost: "deleted" | "frozen"): string {
  return lost === "deleted"
    ? "The message about this run before this one was deleted. This one takes its place."
    : "Slack does not let the message about this run before this one be edited. This one takes its place.";
}

function lostAnswer(lost: "deleted" | "frozen"): Refused {
  const reason =
    lost === "deleted"
      ? "The run's message was deleted in Slack, so that how it ended is not told there."
      : "Slack does not let the run's message be edited any more: it still shows what it showed, and its buttons decide nothing.";
  return { ok: false, error: lost, reason, retryable: false };
}

/** The line that notifies of a question which the message above the thread asks. */
function askingAgain(question: Question, subject: Subject): Saying {
  const title = `Approve ${onTarget(question.step, subject)}? ${counted(question.effects.length, "effect")}`;
  return {
    text: notification(`It asks again: ${title}`, 300),
    blocks: [
      { type: "section", text: { type: "plain_text", text: oneLine(`It asks again: ${title}`, 400), emoji: false } },
      noted([`The buttons are in the message that this is a reply to, until ${moment(question.expiresAt)}.`]),
    ],
  };
}

function json(place: Place): JsonObject {
  return { ...place };
}

function placeOf(kept: JsonObject | null): Place | null {
  const standing = standingOf(kept);
  if (!kept || !standing) return null;
  const text = (name: string) => (typeof kept[name] === "string" ? (kept[name] as string) : null);
  const lost = text("lost");
  return {
    ...standing,
    shown: text("shown") ?? "",
    threadSeq: typeof kept["threadSeq"] === "number" ? kept["threadSeq"] : 0,
    asked: text("asked"),
    lost: lost === "deleted" || lost === "frozen" ? lost : null,
    anew: text("anew"),
    note: text("note"),
  };
}

/** Where the message stands, of the place that was kept; null where there is none, or it is gone. */
export function recordPlaceOf(
  place: JsonObject | null,
): { readonly channel: string; readonly ts: string; readonly appId: string | null } | null {
  const standing = standingOf(place);
  return standing && { channel: standing.channel, ts: standing.ts, appId: standing.appId || null };
}
