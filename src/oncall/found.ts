/** What a run has found out about its target, in the words of its playbook. */

import type { RunEvent } from "../domain/event.ts";
import { oneLine } from "./one-line.ts";

/** Read in ten seconds, by somebody who was asleep: the rest stands in the story. */
const mostLines = 8;
const longestLine = 200;

/** The observations that the playbook has words for, and those that could not be made, each in one safe line, in the order in which it looked. */
export function foundIn(story: readonly RunEvent[]): readonly string[] {
  const newest = new Map<string, string>();
  for (const event of story) {
    const words = wordsOf(event);
    const line = words === null ? "" : oneLine(words.text, longestLine);
    if (words !== null && line !== "") newest.set(words.step, line);
  }
  return [...newest.values()].slice(0, mostLines);
}

function wordsOf(event: RunEvent): { readonly step: string; readonly text: string } | null {
  if (event.type === "step-passed-over")
    return { step: event.step, text: `${event.step}: not known (${event.reason})` };
  if (event.type !== "step-observed" || event.found === undefined) return null;
  return { step: event.step, text: event.found };
}
