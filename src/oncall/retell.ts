/** A run's story within bounds, each line safe as plain text: for messages that have a limit of size. */

import type { RunEvent } from "../domain/event.ts";
import { type Telling, tell } from "../domain/story.ts";
import { oneLine } from "./one-line.ts";

const longestLine = 500;
const mostDetails = 50;
const mostTellings = 200;
/** The beginning says what was the matter, the end what became of it: the middle is left out first. */
const keptAtTheBeginning = 50;

/** The story, at most 200 tellings of at most 50 details; what is left out is counted in its place. */
export function retell(story: readonly RunEvent[]): readonly Telling[] {
  const left = story.length - mostTellings;
  if (left <= 0) return story.map(retellOne);
  const last = story.slice(keptAtTheBeginning + left);
  const gap: Telling = { at: last[0]?.at ?? "", text: `… ${left} events left out …`, details: [], tone: "plain" };
  return [...story.slice(0, keptAtTheBeginning).map(retellOne), gap, ...last.map(retellOne)];
}

function retellOne(event: RunEvent): Telling {
  const { at, text, details, tone } = tell(event);
  const lines = details.slice(0, mostDetails).map((line) => oneLine(line, longestLine));
  const left = details.length - lines.length;
  return {
    at,
    text: oneLine(text, longestLine),
    details: left > 0 ? [...lines, `… and ${left} more`] : lines,
    tone,
  };
}
