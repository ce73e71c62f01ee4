/** A run before it is stored: its row and its first event, ready to be inserted by whichever door it came through. */

import type { DatedHappening, Trigger } from "../domain/event.ts";
import type { Json } from "../domain/json.ts";
import { chainStart, extend, type Link } from "./chain.ts";

/** What a door says of the run it wants. */
export interface NewRun {
  /** A UUIDv7; used if the run turns out to be new. */
  readonly id: string;
  readonly playbook: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly trigger: Trigger;
  readonly inputs: Readonly<Record<string, Json>>;
  readonly dryRun: boolean;
  /** Whom to tell, and after how many milliseconds, unless the run is over by then; null: nobody before it ends. */
  readonly hold?: { readonly policy: string; readonly afterMs: number } | null;
}

/** The first event of a new run at time `at` (RFC 3339). */
export function firstEvent(run: NewRun, at: string): Link {
  const created: DatedHappening = {
    at,
    type: "created",
    playbook: run.playbook,
    playbookHash: run.playbookHash,
    target: run.target,
    trigger: run.trigger,
    inputs: run.inputs,
    dryRun: run.dryRun,
  };
  const [link] = extend(run.id, { seq: 0, hash: chainStart }, [created]);
  return link as Link;
}

/** What no two runs may change at the same time. */
export function lockKeyOf(run: { readonly target: string | null; readonly playbook: string }): string {
  return run.target ?? `playbook/${run.playbook}`;
}
