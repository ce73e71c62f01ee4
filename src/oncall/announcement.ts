/** What is announced of a run, read from its history: what is about to be changed, and how that went. */

import type { RunEvent } from "../domain/event.ts";
import { appliedStepOf, isChangeBegun } from "./changes.ts";
import { oneLine } from "./one-line.ts";
import type { Subject } from "./way.ts";

const longestLine = 300;
const mostLines = 100;

/** One thing to announce. */
export interface Stage {
  /**
   * `announced`: a change is about to be applied. `changed`: the first one was. `well`: the run ended and all is well.
   * `called-off`: it ended before anything was applied. `not-well`: it ended, and people must look. `recovered`: what
   * people looked at is over.
   */
  readonly kind: "announced" | "changed" | "well" | "called-off" | "not-well" | "recovered";
  /** The number of the event that brought it about. */
  readonly seq: number;
  /** RFC 3339. */
  readonly at: string;
  /** The effects that are about to be, or were, applied, each in one line. */
  readonly what: readonly string[];
  /** For people, without anything that only those inside should read. */
  readonly text: string;
}

/** The stages so far, in order; none where nothing was announced. */
export function stagesOf(subject: Subject): readonly Stage[] {
  const { story } = subject;
  const announcing = story.find((event) => event.type === "announcing");
  if (announcing?.type !== "announcing") return [];
  const later = story.filter(({ seq }) => seq > announcing.seq);
  const stages: Stage[] = [stage("announced", announcing, announcing.effects, aboutToChange(subject, announcing))];
  const applied = later.filter((event) => appliedStepOf(event, story) !== null);
  const [first] = applied;
  if (first) stages.push(stage("changed", first, effectsOf(story, [first]), made));
  const ended = later.find((event) => event.type === "ended");
  if (ended?.type !== "ended") return stages;
  const { kind, text } = texts[endedHow(ended.outcome, later)];
  stages.push(stage(kind, ended, effectsOf(story, applied), text));
  const recovered = later.find((event) => event.type === "recovered");
  if (recovered && kind === "not-well") stages.push(stage("recovered", recovered, effectsOf(story, applied), passed));
  return stages;
}

/** Whether nothing that may still happen to the run is to be announced. */
export function isLast(subject: Subject, { kind }: Stage): boolean {
  if (kind === "announced" || kind === "changed") return false;
  // Only what was handed over is watched until it recovers.
  return kind !== "not-well" || !subject.story.some(({ type }) => type === "escalated");
}

/** Whether it is over, so that there is no trouble left to show. */
export function isOver({ kind }: Stage): boolean {
  return kind === "well" || kind === "called-off" || kind === "recovered";
}

function endedHow(outcome: string, later: readonly RunEvent[]): keyof typeof texts {
  if (outcome === "fixed") return "fixed";
  // An alert that resolves is no measurement; what was announced is not made, which is all that is known then.
  if (outcome === "resolved") return later.some(isMeasuredWell) ? "passed" : "called-off";
  if (outcome === "nothing-to-do") return "passed";
  const isHandedOver = later.some(
    (event) => event.type === "escalated" && (event.topic ?? "handed-over") === "handed-over",
  );
  const wasTouched = later.some(isChangeBegun);
  if (wasTouched) return "in-vain";
  return isHandedOver ? "not-made" : "called-off";
}

function isMeasuredWell(event: RunEvent): boolean {
  return event.type === "verification-checked" && event.passed;
}

const made = "The change was made. We measure whether it helps.";
const passed = "The trouble has passed, and measurements agree.";

const texts = {
  fixed: { kind: "well", text: "It helped: measurements are as they should be." },
  passed: { kind: "well", text: "The trouble has passed." },
  "in-vain": { kind: "not-well", text: "The automatic change has not brought what it should. People look at it." },
  "not-made": { kind: "not-well", text: "The automatic change was not made. People look at it." },
  "called-off": { kind: "called-off", text: "This was called off; nothing was changed." },
} as const;

function aboutToChange(subject: Subject, { at, notBefore }: Extract<RunEvent, { type: "announcing" }>): string {
  const on = subject.target === null ? "" : ` on ${subject.target}`;
  const when = Date.parse(notBefore) > Date.parse(at) ? `, not before ${notBefore}` : "";
  const what = subject.summary === null ? "" : ` ${subject.summary}`;
  return oneLine(`An automatic change${on} is about to be made${when}.${what}`, 2 * longestLine);
}

function effectsOf(story: readonly RunEvent[], applied: readonly RunEvent[]): readonly string[] {
  return applied.flatMap((event) => {
    const step = appliedStepOf(event, story);
    const planned = story.findLast((one) => one.type === "step-planned" && one.step === step && one.seq < event.seq);
    return planned?.type === "step-planned" ? planned.effects : [];
  });
}

function stage(kind: Stage["kind"], event: RunEvent, effects: readonly string[], text: string): Stage {
  const lines = effects.slice(0, mostLines).map((effect) => oneLine(effect, longestLine));
  const left = effects.length - lines.length;
  const what = left > 0 ? [...lines, `… and ${left} more`] : lines;
  return { kind, seq: event.seq, at: event.at, what, text };
}
