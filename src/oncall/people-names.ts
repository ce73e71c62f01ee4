/** Names people of a run's history as those read them who are not in Slack: `Slack user U024BE7LH`, the name of an API token. */

import type { RunEvent } from "../domain/event.ts";

/** What names the people of this history plainly in a text of ours. */
export function namesIn(story: readonly RunEvent[]): (text: string) => string {
  const people = peopleOf(story);
  return (text) => people.reduce((named, by) => named.replaceAll(by, () => nameOf(by)), text);
}

/** Longer ones first: one may begin another. */
function peopleOf(story: readonly RunEvent[]): readonly string[] {
  const all = story.flatMap((event) => {
    if (event.type === "created") return "by" in event.trigger && event.trigger.by !== null ? [event.trigger.by] : [];
    return "by" in event ? [event.by] : [];
  });
  const known = all.filter((by) => /^(slack|api):./s.test(by));
  return [...new Set(known)].sort((one, other) => other.length - one.length);
}

function nameOf(by: string): string {
  return by.startsWith("slack:") ? `Slack user ${by.slice("slack:".length)}` : by.slice("api:".length);
}
