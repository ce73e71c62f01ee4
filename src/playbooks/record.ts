/** What a worker has found out about its run: kept at once, stored before the next effect and whenever the run pauses. */

import type { DatedHappening, Happening, RunEvent } from "../domain/event.ts";
import type { Standing } from "../domain/run.ts";
import type { Clock } from "./clock.ts";
import type { Persist } from "./persist.ts";
import type { ClaimedRun, ReloadedRun, RunStore } from "./world.ts";

/** `moved`: decide anew. `lost`: the run is another worker's. `paused`: the kill switch refused an intent. */
export type Stored = "written" | "moved" | "lost" | "paused";

export interface Record {
  /** The history with all that was noted. */
  history(): readonly RunEvent[];
  readonly holdsTarget: boolean;
  readonly paused: boolean;
  /** Notes a fact, which stays true whatever else happens to the run. */
  note(happening: Happening): void;
  /** Reads the history and the kill switch again where what is known of them is older than `ms`. */
  refresh(ms: number): Promise<"fresh" | "lost">;
  /** For how many milliseconds the oldest fact has not been stored; 0 where all are. */
  unstoredMs(): number;
  /**
   * Stores the facts and then what follows from a decision. When somebody else has written to the run in between, the
   * history is read again, the facts are kept and the decision is dropped.
   */
  store(decided: readonly Happening[], standing: Standing): Promise<{ stored: Stored; woken: readonly string[] }>;
}

/** Starts the record of a run that was just claimed. */
export function startRecord(store: RunStore, claimed: ClaimedRun, clock: Clock, persist: Persist): Record {
  let known: ReloadedRun = claimed;
  let readAt = performance.now();
  let facts: DatedHappening[] = [];

  const dated = (happening: Happening): DatedHappening => ({ at: clock.stamp(), ...happening });

  async function reload(): Promise<Stored> {
    const askedAt = performance.now();
    const reloaded = await persist(() => store.reload(claimed));
    if (!reloaded) return "lost";
    known = reloaded;
    readAt = askedAt;
    return "moved";
  }

  return {
    history: () => [...known.history, ...numbered(facts, known.lastSeq)],
    get holdsTarget() {
      return known.holdsTarget;
    },
    get paused() {
      return known.paused;
    },
    note: (happening) => {
      facts.push(dated(happening));
    },
    refresh: async (ms) => {
      if (performance.now() - readAt <= ms) return "fresh";
      return (await reload()) === "lost" ? "lost" : "fresh";
    },
    unstoredMs: () => (facts[0] ? clock.now() - Date.parse(facts[0].at) : 0),
    store: async (decided, standing) => {
      const happenings = [...facts, ...decided.map(dated)];
      const base = { runId: claimed.id, fence: claimed.fence, lastSeq: known.lastSeq, lastHash: known.lastHash };
      let tries = 0;
      const answer = await persist(() => {
        tries += 1;
        return store.append({ ...base, happenings, standing });
      });
      if (answer.kind === "written") {
        known = {
          ...known,
          history: [...known.history, ...numbered(happenings, known.lastSeq)],
          lastSeq: answer.lastSeq,
          lastHash: answer.lastHash,
        };
        facts = [];
        return { stored: "written", woken: answer.woken };
      }
      if (answer.kind === "moved") {
        const before = known.lastSeq;
        const stored = await reload();
        // A try whose answer never arrived may have been written all the same.
        if (stored === "moved" && tries > 1 && sameEvent(known.history[before], happenings[0])) {
          facts = [];
          return { stored: standing.state === "running" ? "written" : "moved", woken: [] };
        }
        return { stored, woken: [] };
      }
      if (answer.kind === "paused") known = { ...known, paused: true };
      return { stored: answer.kind, woken: [] };
    },
  };
}

function numbered(happenings: readonly DatedHappening[], lastSeq: number): RunEvent[] {
  return happenings.map((happening, index) => ({ seq: lastSeq + index + 1, ...happening }) as RunEvent);
}

function sameEvent(stored: RunEvent | undefined, ours: DatedHappening | undefined): boolean {
  return stored !== undefined && ours !== undefined && stored.type === ours.type && stored.at === ours.at;
}
