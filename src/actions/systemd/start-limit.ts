/**
 * Whether one more start of a unit would exceed its own start limit. A restart by hand counts, and one too many makes
 * systemd stop a healthy unit and refuse to start it again (systemd.unit(5), StartLimitBurst=).
 */

import type { Failure } from "../../domain/action.ts";
import { formatDuration } from "../../domain/duration.ts";
import { passing } from "../failure.ts";
import { readJournal } from "./journalctl.ts";
import type { UnitState } from "./unit.ts";

/** The ids of systemd's messages that a unit was started and that its start failed (systemd.journal-catalog). */
const startMessages = ["39f53479d3a045ac8e11786248231fbf", "be02cf6855d2428ba40df7e9d022f03d"];

/**
 * The Failure to be returned in place of a restart, or null where the limit leaves room. systemd does not tell how many
 * starts it has counted, so they are counted in its journal; where that cannot be read, a unit that was started within
 * the limit's interval is left alone.
 */
export async function startLimitReached(
  state: UnitState,
  journalFolder: string | null,
  signal: AbortSignal,
): Promise<Failure | null> {
  const { unit, startLimit } = state;
  const { burst, intervalMs } = startLimit;
  if (burst === 0 || intervalMs === 0) return null;
  // The clock of this host, by which systemd writes its times.
  const from = Date.now() - intervalMs;
  if (state.startedAt < from) return null;
  const page = await readJournal(
    [
      `--since=@${Math.floor(from / 1_000)}`,
      "_PID=1",
      `UNIT=${unit}`,
      ...startMessages.map((id) => `MESSAGE_ID=${id}`),
    ],
    { entries: burst + 1, folder: journalFolder, signal },
  );
  const limit = `systemd allows it ${burst} starts within ${formatDuration(intervalMs)} (StartLimitBurst)`;
  const times = page.status === "read" ? page.entries.map(({ at }) => at).filter((at) => at >= from) : [];
  // Its last start lies within the interval, so a journal that shows none does not tell.
  if (times.length === 0) {
    return passing(
      `${unit} was started within the last ${formatDuration(intervalMs)}, ${limit}, and the journal does not tell how ` +
        `many it has had. Try again after ${clock(state.startedAt + intervalMs)}, or let Paramedic read the journal.`,
    );
  }
  if (times.length < burst) return null;
  const free = (times[burst - 1] as number) + intervalMs;
  return passing(
    `Restarting ${unit} now would reach its start limit and take it down: ${limit}, and it has had ${times.length}. ` +
      `Try again after ${clock(free)}.`,
  );
}

function clock(ms: number): string {
  return `${new Date(Math.ceil(ms / 1_000) * 1_000).toISOString().slice(11, 19)} UTC`;
}
