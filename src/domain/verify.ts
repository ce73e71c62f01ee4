/** Which of a playbook's checks is to be measured next, and when. All must hold together. */

import type { RunEvent } from "./event.ts";
import type { Check } from "./playbook.ts";

/** The last measurement of one of the playbook's checks. */
export interface CheckProgress {
  readonly passed: boolean;
  readonly at: string;
  readonly reason: string | null;
  /** How often in a row it has passed since any check last failed. 0 where it passed: what it said may no longer be so. */
  readonly held: number;
  readonly hasHeld: boolean;
}

export type NextCheck =
  | { readonly kind: "measure"; readonly check: Check; readonly index: number }
  /** Nothing is to be measured before `until`, in milliseconds since 1970. */
  | { readonly kind: "wait"; readonly until: number }
  | { readonly kind: "does-not-hold"; readonly check: Check; readonly reason: string | null }
  | { readonly kind: "all-hold" };

/** What was measured longer ago than this is measured once more at the end: the run may have been held up meanwhile. */
const measuredHoldsMs = 60_000;

/** Their time counts from `begin`, in milliseconds since 1970. */
export function nextCheck(
  checks: readonly Check[],
  measured: ReadonlyMap<number, CheckProgress>,
  begin: number,
  now: number,
): NextCheck {
  const failing = checks.findIndex((_, index) => measured.get(index)?.passed !== true);
  if (failing === -1) {
    const index = checks.findIndex((_, at) => isStale(measured.get(at), now));
    const check = checks[index];
    return check ? { kind: "measure", check, index } : { kind: "all-hold" };
  }
  const check = checks[failing] as Check;
  const last = measured.get(failing);
  if (!last) return { kind: "measure", check, index: failing };
  // One that held before may fail for a moment when it is measured again, and late.
  const withinMs = last.hasHeld ? Math.max(...checks.map((one) => one.withinMs)) : check.withinMs;
  const deadline = begin + withinMs;
  const lastAt = Date.parse(last.at);
  if (lastAt >= deadline) return { kind: "does-not-hold", check, reason: last.reason };
  const until = Math.min(lastAt + check.everyMs, deadline);
  return now < until ? { kind: "wait", until } : { kind: "measure", check, index: failing };
}

/** Once more is enough, so that slow checks do not wait for each other's age for ever. */
function isStale(last: CheckProgress | undefined, now: number): boolean {
  if (!last || last.held === 0) return true;
  return last.held === 1 && now - Date.parse(last.at) > measuredHoldsMs;
}

/** The measurement after one more. */
export function afterMeasuring(
  before: CheckProgress | undefined,
  { passed, at, reason, found }: Extract<RunEvent, { type: "verification-checked" }>,
): CheckProgress {
  return {
    passed,
    at,
    reason: reason ?? found ?? null,
    held: passed ? (before?.held ?? 0) + 1 : 0,
    hasHeld: passed || before?.hasHeld === true,
  };
}
