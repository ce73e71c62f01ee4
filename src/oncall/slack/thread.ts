/** The thread under a run's message: what happened since the last reply, in one reply, without what only a machine wants to know. */

import type { RunEvent } from "../../domain/event.ts";
import type { JsonObject } from "../../domain/json.ts";
import { tell } from "../../domain/story.ts";
import { oneLine } from "../one-line.ts";
import type { Subject } from "../way.ts";
import { counted, noted, type Saying, smallPrint, whereToRead } from "./blocks.ts";
import { markup, moment, notification, person, plain, plainLines, slackUser } from "./escape.ts";

/** Slack takes some 13,200 characters and counts 125 for each block and each part of one. */
const mostTellings = 10;
const keptAtTheBeginning = 3;
const longestTelling = 300;
const mostDetails = 8;
const longestDetail = 150;
/** A line of Slack's on a telephone. */
const longestResult = 60;
const longestMeasured = 100;

/** One reply with what is worth telling after event number `after`; null: nothing is. `note` is a first line of our own. */
export function threadReply(subject: Subject, after: number, note: string | null): Saying | null {
  const events = worthTelling(subject.story).filter((event) => event.seq > after);
  if (events.length === 0 && note === null) return null;
  const left = events.length - mostTellings;
  const shown =
    left > 0 ? [...events.slice(0, keptAtTheBeginning), ...events.slice(keptAtTheBeginning + left)] : events;
  const told = shown.map((event) => toldBlocks(event, subject.story));
  if (left > 0)
    told.splice(keptAtTheBeginning, 0, [noted([`… ${counted(left, "more event")}: ${whereToRead(subject)}`])]);
  const last = events.at(-1);
  return {
    text: notification(note ?? (last ? tell(last).text : ""), 300),
    blocks: [...(note === null ? [] : [noted([note])]), ...told.flat()],
  };
}

/** The newest `most` events that are worth telling, for other messages about the run. */
export function lastTold({ story }: Subject, most: number): readonly JsonObject[] {
  return worthTelling(story)
    .slice(-most)
    .flatMap((event) => toldBlocks(event, story));
}

function worthTelling(story: readonly RunEvent[]): readonly RunEvent[] {
  return story.filter((event, index) => isTold(event, () => story.slice(0, index)));
}

/** Whether people want to know it: looks, skipped steps and repeated measurements are for the run's own page. */
function isTold(event: RunEvent, before: () => readonly RunEvent[]): boolean {
  switch (event.type) {
    case "created":
    case "set-aside":
    case "step-skipped":
    case "step-observed":
    case "step-planned":
    case "rails-checked":
    // The message above the thread asks.
    case "approval-requested":
    // Whoever may not decide could fill the channel with trying.
    case "answer-refused":
    case "acknowledge-refused":
    case "notifying":
    case "told":
      return false;
    case "approvers-checked":
      return !event.allowed;
    case "announcing":
      return event.notBefore > event.at;
    case "verification-checked": {
      const same = (one: RunEvent) => one.type === "verification-checked" && one.check === event.check;
      const earlier = before().findLast(same);
      return earlier?.type !== "verification-checked" || earlier.passed !== event.passed;
    }
    case "step-failed": {
      const earlier = before().findLast((one) => one.type === "step-failed" && one.step === event.step);
      return earlier?.type !== "step-failed" || earlier.reason !== event.reason;
    }
    default:
      return true;
  }
}

/** One event: when, by whom where that is somebody in Slack, what. */
function toldBlocks(event: RunEvent, story: readonly RunEvent[]): readonly JsonObject[] {
  const text = shortened(event, story);
  const user = "by" in event && slackUser(event.by) !== null && text.startsWith(`${event.by} `) ? event.by : null;
  const words = user === null ? text : text.slice(user.length + 1);
  const details = event.type === "step-started" ? effectsOf(event.step, event.seq, story) : [];
  return [
    smallPrint([
      markup(moment(event.at, "seconds")),
      ...(user === null ? [] : [markup(person(user))]),
      plain(words, longestTelling),
    ]),
    ...(details.length > 0 ? [smallPrint([plainLines(cut(details))])] : []),
  ];
}

/** In one line: what a step or a measurement returned is left out where it is longer, and the effects are counted. */
function shortened(event: RunEvent, story: readonly RunEvent[]): string {
  const { text } = tell(event);
  if (event.type === "step-finished") {
    const result = text.slice(`Applied ${event.step}: `.length);
    const number = effectsOf(event.step, event.seq, story).length;
    return `Applied ${event.step}${number > 0 ? `, ${counted(number, "effect")}` : ""}${result.length <= longestResult ? `: ${result}` : ""}`;
  }
  if (event.type !== "verification-checked" || event.reason !== null || text.length <= longestMeasured) return text;
  return text.slice(0, text.indexOf(", "));
}

/** What a step that starts is about to do, as it was last planned. */
function effectsOf(step: string, seq: number, story: readonly RunEvent[]): readonly string[] {
  const planned = story.findLast((one) => one.type === "step-planned" && one.step === step && one.seq < seq);
  return planned?.type === "step-planned" ? planned.effects : [];
}

function cut(effects: readonly string[]): readonly string[] {
  const lines = effects.slice(0, mostDetails).map((effect) => `• ${oneLine(effect, longestDetail)}`);
  const left = effects.length - lines.length;
  return left > 0 ? [...lines, `… and ${counted(left, "more effect")}`] : lines;
}
