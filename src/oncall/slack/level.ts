/** Slack's way of telling somebody in particular: one message per level or entry, edited when somebody has it and when it is over. */

import type { JsonObject } from "../../domain/json.ts";
import { noticeOf } from "../notice.ts";
import { lastQuestion } from "../question.ts";
import type { Follow, Message, Subject } from "../way.ts";
import { newestSeq } from "./about.ts";
import { levelSaying, levelState, roomForEffects } from "./level-blocks.ts";
import {
  digestOf,
  edit,
  isFrozen,
  isGone,
  post,
  type Sayings,
  type Standing,
  standingOf,
  unfollowed,
} from "./speak.ts";
import type { WebCall } from "./web-call.ts";

/**
 * Follows escalation levels and `notify` entries. `channelOf` finds the channel by the configuration as it is now, null
 * where that has none. What is over before it was told is not told, but to contacts: nobody is woken for it.
 */
export function followLevel(options: {
  readonly call: WebCall;
  readonly channelOf: (message: Message) => string | null;
}): Follow {
  const { call, channelOf } = options;
  return async (message, subject, signal) => {
    const notice = noticeOf(message, subject, 0);
    const { usual, spare } = roomForEffects;
    const sayings: Sayings = [
      levelSaying(message, subject, notice, usual),
      levelSaying(message, subject, notice, spare),
    ];
    const shown = digestOf(levelState(message, subject, notice));
    const shownSeq = newestSeq(subject);
    const at = standingOf(message.place);
    const succeeded = (place: JsonObject | null, told: string | null) =>
      ({ ok: true, place, shownSeq, told, done: isDone(subject) }) as const;

    if (!at) {
      if (isOver(message, subject)) return { ok: true, place: message.place, shownSeq, told: null, done: true };
      const channel = channelOf(message);
      if (channel === null) return nowhere(message);
      const posted = await post(call, channel, sayings, signal);
      if (!posted.ok) return unfollowed(posted, posted.retryable, message);
      return succeeded(placeAt(posted.standing, shown), `Slack ${channel}`);
    }
    if (message.place?.["shown"] === shown) return succeeded(message.place, null);

    const edited = await edit(call, at, sayings, signal);
    if (edited.ok) return succeeded(placeAt(at, shown), null);
    // Whoever deleted it has read it.
    if (isGone(edited)) return { ok: true, place: message.place, shownSeq, told: null, done: true };
    if (!isFrozen(edited)) return unfollowed(edited, edited.retryable, message);
    const replied = await post(call, at.channel, sayings, signal, { ts: at.ts, broadcast: false });
    if (!replied.ok) return unfollowed(replied, replied.retryable, message);
    return succeeded(placeAt(at, shown), null);
  };
}

function isOver({ topic }: Message, subject: Subject): boolean {
  if (topic === "notify") return false;
  return subject.recovered || (topic === "approval-unasked" && lastQuestion(subject)?.state !== "pending");
}

/** Nothing more to say: it is over, or the run has ended without having been handed to anybody. */
function isDone({ ended, recovered, story }: Subject): boolean {
  return recovered || (ended !== null && !story.some((event) => event.type === "escalated"));
}

function placeAt(at: Standing, shown: string): JsonObject {
  return { ...at, shown };
}

function nowhere({ topic, place, shownSeq }: Message) {
  const section = topic === "notify" ? "contacts" : "escalation";
  const reason = `the configuration has no Slack channel for this any more; correct \`${section}\``;
  return { ok: false, reason, retryable: false, place, shownSeq } as const;
}
