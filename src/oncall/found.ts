/** What a run has found out about its target, in the words of its playbook. */

import type { RunEvent } from "../domain/event.ts";
import { oneLine } from "./one-line.ts";

/** Read in ten seconds, by somebody who was asleep: the rest stands in the story. */
const mostLines = 8;
const longestLine = 200;

/** The observations that the playbook has words for, each in one safe line, in the order in which it looked. */
export function foundIn(story: readonly RunEvent[]): readonly string[] {
  const newest = new Map<string, string>();
  for (const event of story) {
    if (event.type !== "step-observed" || event.found === undefined) continue;
    const line = oneLine(event.found, longestLine);
    if (line !== "") newest.set(event.step, line);
  }
  return [...newest.values()].slice(0, mostLines);
}
