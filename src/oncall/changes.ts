/** Tells each applied change of a run once, in order, to a place where people ask what changed. */

import type { RunEvent } from "../domain/event.ts";
import type { Followed } from "../domain/followed.ts";
import type { JsonObject } from "../domain/json.ts";
import type { AppliedChange } from "./pagerduty-event.ts";
import type { Delivered, Follow, Subject } from "./way.ts";

/** What is kept in the outbox. */
interface Place {
  /** How many changes were told. */
  readonly told: number;
  /** How many were refused for good, and why the last of them. */
  readonly refused: number;
  readonly why: string;
  /** The number of the last event that was looked at. */
  readonly upTo: number;
}

/**
 * Tells the changes by `change`, which is one call to `to`. A failure that may pass stops at the change that failed, so
 * that none before it is told twice; what is refused for good is left out, so that it does not keep those after it from
 * being told, and is reported when the run has ended.
 */
export function followChanges(options: {
  readonly change: (change: AppliedChange, signal: AbortSignal) => Promise<Delivered>;
  /** For the run's history; never a secret. */
  readonly to: string;
}): Follow {
  return async (message, subject, signal) => {
    const before = placeOf(message.place);
    let place = before;
    const told = () => (before.told === 0 && place.told > 0 ? options.to : null);
    for (const change of appliedAfter(place.upTo, subject)) {
      const { seq, ...applied } = change;
      const answer = await options.change(applied, signal);
      if (!answer.ok && answer.retryable && place.told > before.told) {
        // Those before it are told; the failure comes again with the next call, which is due at once.
        return { ok: true, place: asJson(place), shownSeq: place.upTo, told: told(), done: false };
      }
      if (!answer.ok && answer.retryable) {
        return { ...answer, place: asJson(place), shownSeq: place.told > 0 ? place.upTo : 0 };
      }
      place = answer.ok
        ? { ...place, told: place.told + 1, upTo: seq }
        : { ...place, refused: place.refused + 1, why: answer.reason, upTo: seq };
    }
    const last = subject.story.at(-1)?.seq ?? message.shownSeq;
    place = { ...place, upTo: Math.max(place.upTo, last) };
    if (subject.ended && place.refused > 0) return refused(place);
    return { ok: true, place: asJson(place), shownSeq: last, told: told(), done: subject.ended !== null };
  };
}

function refused(place: Place): Followed {
  const reason = `${place.refused} of ${place.told + place.refused} changes were refused, the last one: ${place.why}`;
  return { ok: false, reason, retryable: false, place: asJson(place), shownSeq: place.told > 0 ? place.upTo : 0 };
}

function appliedAfter(after: number, subject: Subject): readonly (AppliedChange & { readonly seq: number })[] {
  const { run, playbook, target, url, story } = subject;
  const effects = new Map<string, readonly string[]>();
  return story.flatMap((event) => {
    if (event.type === "step-planned") effects.set(event.step, event.effects);
    const step = appliedStepOf(event, story);
    if (step === null || event.seq <= after) return [];
    return [{ run, playbook, target, step, effects: effects.get(step) ?? [], at: event.at, url, seq: event.seq }];
  });
}

/** The step whose change the event of this story says was applied; null: it says no such thing. */
export function appliedStepOf(event: RunEvent, story: readonly RunEvent[]): string | null {
  const isApplied = event.type === "step-finished" || (event.type === "step-probed" && event.answer === "applied");
  if (!isApplied) return null;
  const begun = story.findLast((one) => one.type === "step-started" && one.step === event.step);
  return begun && !isChangeBegun(begun) ? null : event.step;
}

/** Whether a change begins with the event; what is only said to people is none. */
export function isChangeBegun(event: RunEvent): event is Extract<RunEvent, { type: "step-started" }> {
  return event.type === "step-started" && !event.tells;
}

function asJson(place: Place): JsonObject {
  return { ...place };
}

function placeOf(place: JsonObject | null): Place {
  const number = (value: unknown) => (typeof value === "number" ? value : 0);
  const why = place?.["why"];
  return {
    told: number(place?.["told"]),
    refused: number(place?.["refused"]),
    why: typeof why === "string" ? why : "",
    upTo: number(place?.["upTo"]),
  };
}
