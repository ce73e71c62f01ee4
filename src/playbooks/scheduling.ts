/** Looks which schedules are due, again and again, and has their runs begun. */

import { type Rounds, startRounds } from "../domain/rounds.ts";
import type { LoadedPlaybook } from "./load.ts";
import { type ScheduledPlaybook, scheduledPlaybooks } from "./scheduled.ts";

/** What became of an occurrence, for the log; `run`: the one that was started. */
interface Ticked {
  readonly what: "started" | "late" | "busy";
  readonly run: string | null;
}

export interface Scheduling {
  readonly playbooks: readonly LoadedPlaybook[];
  readonly newId: () => string;
  /** Deals with the occurrence that is due, once however many workers ask. */
  tick(scheduled: ScheduledPlaybook): Promise<Ticked | null>;
  hint(runs: readonly string[]): void;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

const everyMs = 1_000;

export function startScheduling({ playbooks, newId, tick, hint, log }: Scheduling): Rounds {
  const scheduled = scheduledPlaybooks(playbooks, newId);
  const round = async () => {
    const failures: unknown[] = [];
    for (const one of scheduled) {
      // One that cannot be dealt with must not keep the others from their time.
      const ticked = await tick(one).catch((error: unknown) => {
        failures.push(error);
        return null;
      });
      if (!ticked) continue;
      if (ticked.run !== null) hint([ticked.run]);
      if (ticked.what === "started") log.info({ ...ticked }, "a scheduled run was started");
      else log.warn({ ...ticked }, "an occurrence of a schedule was left out");
    }
    if (failures.length > 0) throw failures[0];
  };
  return startRounds(everyMs, round, (error) =>
    log.warn({ err: error }, "could not look which schedules are due; looking again"),
  );
}
