/** Which rows of the outbox follow from an event: everything told to people is a row in the same transaction as its cause. */

import type { Happening } from "../domain/event.ts";
import type { Topic } from "../domain/topic.ts";

/** What is told of runs beyond what their events say themselves. */
export interface Telling {
  readonly newId: () => string;
  /** Whether there is a Slack to ask in. */
  readonly asksInSlack: boolean;
  /** Whether applied changes are told to PagerDuty. */
  readonly tellsChanges: boolean;
}

/** A row of the outbox before it is stored. */
export interface Said {
  readonly id: string;
  readonly runId: string;
  readonly topic: Topic;
  /** What exactly it is about, where the topic alone does not say: the step that reports. */
  readonly about: string;
  readonly way: string;
  readonly policy: string;
  readonly level: number;
}

/** The rows for one event of a run. Each is stored once, however often its cause happens. */
export function saidOf(runId: string, happening: Happening, telling: Telling): readonly Said[] {
  const row = (topic: Topic, way: string, policy = "", level = 0, about = ""): Said => ({
    id: telling.newId(),
    runId,
    topic,
    about,
    way,
    policy,
    level,
  });
  switch (happening.type) {
    case "approval-requested":
      return telling.asksInSlack ? [row("record", "slack")] : [];
    case "announcing":
      return happening.places.map((place) => row("announcement", place));
    case "notifying":
      return happening.ways.map((way) => row("notify", way, happening.contact, happening.entry));
    case "step-started":
      return telling.tellsChanges && !happening.tells ? [row("changes", "pagerduty")] : [];
    case "step-finished": {
      const { step, report } = happening;
      return report ? report.ways.map((way) => row("report", way, report.contact, 0, step)) : [];
    }
    default:
      return [];
  }
}
