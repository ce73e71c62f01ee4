/** For how long the alert of a run fires, as its history tells it: people see the same however often it is told anew. */

import { sayDuration } from "../domain/duration.ts";
import type { RunEvent } from "../domain/event.ts";
import type { Subject } from "./way.ts";

/** What people are told anew for: until then is counted while the alert fires. */
const turns: ReadonlySet<RunEvent["type"]> = new Set(["created", "approval-requested", "escalated", "ended"]);

/** For how long it fired by the last turn of the run, or in all; null where no alert started the run. */
export function firingOf({ startsAt, story }: Pick<Subject, "startsAt" | "story">): {
  readonly for: string;
  readonly isOver: boolean;
} | null {
  if (startsAt === null) return null;
  const resolved = story.findLast((event) => event.type === "alert-resolved");
  const until = resolved ? (resolved.endsAt ?? resolved.at) : story.findLast(({ type }) => turns.has(type))?.at;
  const ms = Date.parse(until ?? "") - Date.parse(startsAt);
  return Number.isNaN(ms) || ms < 0 ? null : { for: sayDuration(ms), isOver: resolved !== undefined };
}
