/** A run's story within bounds, each line safe as plain text: for messages that have a limit of size. */

import type { RunEvent } from "../domain/event.ts";
import { type Telling, tell } from "../domain/story.ts";
import { oneLine } from "./one-line.ts";

const longestLine = 300;
const mostTellings = 200;
/** The beginning says what was the matter, the end what became of it: the middle is left out first. */
const keptAtTheBeginning = 50;
const mostDetails = 50;
/** For the details of all tellings together, in UTF-16 units. */
const roomForDetails = 40_000;

/**
 * The story in at most 201 tellings of at most 300 UTF-16 units, with at most 50 details each and 40,000 units of
 * details in all; what is left out is counted in its place.
 */
export function retell(story: readonly RunEvent[]): readonly Telling[] {
  let room = roomForDetails;
  const retold = (event: RunEvent): Telling => {
    const { at, text, details, tone } = tell(event);
    const lines: string[] = [];
    for (const line of details.slice(0, mostDetails).map((detail) => oneLine(detail, longestLine))) {
      room -= line.length;
      if (room < 0) break;
      lines.push(line);
    }
    const left = details.length - lines.length;
    return { at, text: oneLine(text, longestLine), details: left > 0 ? [...lines, `… and ${left} more`] : lines, tone };
  };
  const left = story.length - mostTellings;
  if (left <= 0) return story.map(retold);
  const last = story.slice(keptAtTheBeginning + left);
  const gap: Telling = { at: last[0]?.at ?? "", text: `… ${left} events left out …`, details: [], tone: "plain" };
  return [...story.slice(0, keptAtTheBeginning).map(retold), gap, ...last.map(retold)];
}
