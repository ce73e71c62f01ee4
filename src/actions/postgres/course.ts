/** How far maintenance of several things has come, so that a failure tells what was done before it and what was under way. */

import type { Failure, Outcome } from "../../domain/action.ts";
import { lasting } from "../failure.ts";

/** What is done, and what was sent to the server and not yet answered. Both as SQL names. */
export interface Course {
  readonly done: string[];
  underWay: string | null;
}

export function newCourse(): Course {
  return { done: [], underWay: null };
}

/**
 * Does the maintenance of one thing; null where it is done. Where it throws, since the connection is lost or the signal
 * aborts, the thing stays under way.
 */
export async function doNext(
  course: Course,
  subject: string,
  maintenance: () => Promise<Failure | null>,
): Promise<Failure | null> {
  course.underWay = subject;
  const failure = await maintenance();
  course.underWay = null;
  if (!failure) course.done.push(subject);
  return failure;
}

/**
 * The outcome with how far it came. What was under way may have happened; after something was done, trying again is not
 * trying the same again. `did`: "Analyzed"; `work`: "analysis".
 */
export function toldWith({ done, underWay }: Course, outcome: Outcome, did: string, work: string): Outcome {
  if (outcome.status !== "failed") return outcome;
  const before = done.length === 0 ? "" : ` ${did} before that: ${done.join(", ")}.`;
  if (underWay !== null) {
    return { status: "unknown", reason: `${outcome.reason} The ${work} of ${underWay} was begun.${before}` };
  }
  return done.length === 0 ? outcome : lasting(`${outcome.reason}${before}`);
}
