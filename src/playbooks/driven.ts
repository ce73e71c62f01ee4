/** A run in the hands of this worker: what it is driven with, and how what was decided is stored. */

import type { Happening } from "../domain/event.ts";
import type { Standing } from "../domain/run.ts";
import type { Clock } from "./clock.ts";
import type { HeldLease } from "./leases.ts";
import type { LoadedPlaybook } from "./load.ts";
import type { Persist } from "./persist.ts";
import type { Record, Stored } from "./record.ts";
import type { ClaimedRun, World } from "./world.ts";

/** How the process asks its runs to stop: `soft` between two things they do, `hard` at once. */
export interface Stop {
  readonly soft: AbortSignal;
  readonly hard: AbortSignal;
}

/** A claimed run, whether or not its playbook can be carried out here. */
export interface Undrivable {
  readonly world: World;
  readonly claimed: ClaimedRun;
  readonly clock: Clock;
  readonly lease: HeldLease;
  readonly persist: Persist;
  readonly record: Record;
  readonly stop: Stop;
}

/** A claimed run with the playbook that it is carried out by. */
export interface Driven extends Undrivable {
  readonly loaded: LoadedPlaybook;
}

/** Stores, tells the queue what follows from where the run now stands, and says how the storing went. */
export async function put(driven: Undrivable, decided: readonly Happening[], standing: Standing): Promise<Stored> {
  const { world, claimed, record, clock } = driven;
  const { stored, woken } = await record.store(decided, standing);
  if (stored === "lost") world.log.warn({ run: claimed.id, fence: claimed.fence }, "this run is another worker's now");
  if (woken.length > 0) world.hint(woken, 0);
  if (stored === "written" && standing.state === "waiting") world.hint([claimed.id], standing.dueAt - clock.now());
  if (stored === "written" && standing.state === "released") world.hint([claimed.id], 0, standing.host);
  return stored;
}

/** After a write that keeps the run: everything but a lost run is decided anew. */
export function after(stored: Stored): "go-on" | "stop" {
  return stored === "lost" ? "stop" : "go-on";
}

/** After a write that people are told of. */
export function told({ world }: Undrivable, stored: Stored): "go-on" | "stop" {
  if (stored === "written") world.tellPeople();
  return after(stored);
}
