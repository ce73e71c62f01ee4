/** When which level of an escalation policy is due. A pure reading of the policy; the rows are the store's affair. */

/** One level: how long after the escalation began, and by which ways. */
export interface Level {
  readonly afterMs: number;
  /** `email`, `pagerduty`; a level with none tells nobody. */
  readonly ways: readonly string[];
}

export interface DueLevels {
  /** The levels that are due now, counted from 0. */
  readonly due: readonly number[];
  readonly nextLevel: number;
  /** When the level after those is due, milliseconds since 1970; null: there is none. */
  readonly dueAt: number | null;
}

/** Which levels are due at `now` of an escalation that began at `beganAt` and whose first levels were told already. */
export function dueLevels(levels: readonly Level[], beganAt: number, nextLevel: number, now: number): DueLevels {
  const due: number[] = [];
  let next = nextLevel;
  while (next < levels.length && beganAt + (levels[next] as Level).afterMs <= now) {
    due.push(next);
    next += 1;
  }
  const following = levels[next];
  return { due, nextLevel: next, dueAt: following ? beganAt + following.afterMs : null };
}

/** How long an escalation waits for a worker that knows its policy, and how often it looks for one. */
export const unknownPolicy = { againAfterMs: 30_000, giveUpAfterMs: 600_000 } as const;

/** Nothing is told at `now`, since the policy is not known here: another worker may know it the next time. */
export function lookAgain(nextLevel: number, now: number): DueLevels {
  return { due: [], nextLevel, dueAt: now + unknownPolicy.againAfterMs };
}

/** How long the outbox waits after each failed attempt; after the last one it gives up. */
export const deliveryDelaysMs: readonly number[] = [
  2_000, 5_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000,
];
