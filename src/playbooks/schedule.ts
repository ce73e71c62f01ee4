/** Schedules: a cron expression in a time zone, and which of its occurrences is to be run now. */

import { Cron } from "croner";
import type { Schedule } from "../domain/playbook.ts";

/** Gives occurrences in order. */
export interface Occurrences {
  /** The first one after `after` (milliseconds since 1970); null: there is none any more. */
  next(after: number): number | null;
  /** The last one that is not after `now`; null: there was none yet. */
  latest(now: number): number | null;
}

export type CompiledSchedule =
  | { readonly ok: true; readonly occurrences: Occurrences }
  | { readonly ok: false; readonly key: "schedule" | "timezone"; readonly message: string };

/**
 * Reads five fields (minute, hour, day of the month, month, day of the week) in the IANA time zone. Where minute and hour are
 * numbers, lists and ranges, a time that the clocks skip is made up for as soon as they have, and one that they repeat
 * counts once; with `*` or a step, what is skipped is left out and what is repeated occurs twice (croner's rules, held
 * by our tests).
 */
export function compileSchedule(cron: string, timezone: string): CompiledSchedule {
  try {
    new Intl.DateTimeFormat("en", { timeZone: timezone });
  } catch {
    return {
      ok: false,
      key: "timezone",
      message: `'${timezone}' is no time zone; write one such as Europe/Berlin or UTC`,
    };
  }
  try {
    if (cron.trim().startsWith("@")) throw new Error("write the five fields");
    const pattern = new Cron(cron, { timezone, mode: "5-part", fixedTimeRule: "no-wildcard", paused: true });
    const occurrences: Occurrences = {
      next: (after) => pattern.nextRun(new Date(after))?.getTime() ?? null,
      // croner looks for what is before a moment, and not for what is at it.
      latest: (now) => pattern.previousRuns(1, new Date(now + 1))[0]?.getTime() ?? null,
    };
    if (occurrences.next(Date.now()) === null) {
      return { ok: false, key: "schedule", message: `'${cron}' never occurs` };
    }
    return { ok: true, occurrences };
  } catch (error) {
    const why = (error as Error).message.replace(/^CronPattern: /, "");
    return {
      ok: false,
      key: "schedule",
      message: `'${cron}' is no cron expression: ${why}; write one such as '0 2 * * *'`,
    };
  }
}

/** What becomes of the occurrences since the last one that was dealt with. */
export interface DueOccurrence {
  /** The newest that is due; only this one is run, however many were missed. */
  readonly due: number;
  /** `late`: the playbook does not want what was missed. */
  readonly verdict: "run" | "late";
  /** How many older ones were missed, at most 1000. */
  readonly missed: number;
}

/** An occurrence counts as missed when nobody was there for so long. */
const graceMs = 60_000;
/** Of a schedule that nobody looked after for very long, no more of what was missed is counted. */
const mostCounted = 1_000;

/** Which occurrence after `last` is due at `now`; null: none. All times are milliseconds since 1970. */
export function dueOccurrence(
  schedule: Pick<Schedule, "missed">,
  occurrences: Occurrences,
  last: number,
  now: number,
): DueOccurrence | null {
  const due = occurrences.latest(now);
  if (due === null || due <= last) return null;
  let missed = 0;
  for (let next = occurrences.next(last); next !== null && next < due && missed < mostCounted; missed += 1) {
    next = occurrences.next(next);
  }
  const late = now - due > graceMs && schedule.missed === "skip";
  return { due, verdict: late ? "late" : "run", missed };
}
