/** A run's story within bounds, each line safe as plain text: for messages that have a limit of size. */

import type { RunEvent } from "../domain/event.ts";
import { type Telling, tell } from "../domain/story.ts";
import { oneLine } from "./one-line.ts";
import { namesIn } from "./people-names.ts";

const longestLine = 300;
const mostTellings = 200;
/** The beginning says what was the matter, the end what became of it: the middle is left out first. */
const keptAtTheBeginning = 50;
const mostDetails = 50;
/** For the details of all tellings together, in UTF-16 units. */
const roomForDetails = 40_000;

/**
 * The story, measurements that came out alike one after the other as one telling, in at most 201 tellings of at most
 * 300 UTF-16 units, with at most 50 details each and 40,000 units of details in all; what is left out is counted in its
 * place.
 */
export function retell(story: readonly RunEvent[]): readonly Telling[] {
  let room = roomForDetails;
  const names = namesIn(story);
  const retold = ({ at, text, details, tone }: Telling): Telling => {
    const lines: string[] = [];
    for (const detail of details.slice(0, mostDetails)) {
      if (room <= 0) break;
      const line = oneLine(detail, Math.min(longestLine, room));
      room -= line.length;
      lines.push(line);
    }
    const left = details.length - lines.length;
    return {
      at,
      text: oneLine(names(text), longestLine),
      details: left > 0 ? [...lines, `… and ${left} more`] : lines,
      tone,
    };
  };
  const tellings = collapsed(story);
  const left = tellings.length - mostTellings;
  if (left <= 0) return tellings.map(retold);
  const last = tellings.slice(keptAtTheBeginning + left);
  const gap: Telling = { at: last[0]?.at ?? "", text: `… ${left} lines left out …`, details: [], tone: "plain" };
  return [...tellings.slice(0, keptAtTheBeginning).map(retold), gap, ...last.map(retold)];
}

/** A run that waits for its alert to decay measures the same again and again: the last time stands for all of them. */
function collapsed(story: readonly RunEvent[]): readonly Telling[] {
  const tellings: Telling[] = [];
  for (let index = 0; index < story.length; ) {
    const first = story[index] as RunEvent;
    let end = index + 1;
    while (end < story.length && isSameMeasurement(first, story[end] as RunEvent)) end += 1;
    const last = tell(story[end - 1] as RunEvent);
    const times = end - index;
    const text = `${oneLine(last.text, longestLine - 60)} (${times} times since ${first.at})`;
    tellings.push(times === 1 ? last : { ...last, text });
    index = end;
  }
  return tellings;
}

function isSameMeasurement(one: RunEvent, other: RunEvent): boolean {
  return (
    one.type === "verification-checked" &&
    other.type === "verification-checked" &&
    one.check === other.check &&
    one.passed === other.passed
  );
}
