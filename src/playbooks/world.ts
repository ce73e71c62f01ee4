/** What driving a run needs from outside: a store, the playbooks, and somebody to tell. Supplied by `app.ts`. */

import type { BudgetUse, DatedHappening, Outcome, RunEvent } from "../domain/event.ts";
import type { JsonObject } from "../domain/json.ts";
import type { Budget } from "../domain/playbook.ts";
import type { Announcements, Standing } from "../domain/run.ts";
import type { Target } from "../domain/target.ts";
import type { LoadedPlaybook } from "./load.ts";

/** A run as it is handed to a worker. `lastHash` is the store's affair. */
export interface ClaimedRun extends ReloadedRun {
  readonly id: string;
  readonly playbook: string;
  readonly playbookHash: string;
  readonly target: string | null;
  readonly dryRun: boolean;
  readonly fence: number;
  readonly takenOver: boolean;
  /** The host to whose workers it was left; null: it was not. */
  readonly leftTo: string | null;
}

export interface ReloadedRun {
  readonly history: readonly RunEvent[];
  readonly lastSeq: number;
  readonly lastHash: Buffer;
  readonly holdsTarget: boolean;
  readonly paused: boolean;
  /** The database's time, milliseconds since 1970. */
  readonly now: number;
}

export type Appended =
  | { readonly kind: "written"; readonly lastSeq: number; readonly lastHash: Buffer; readonly woken: readonly string[] }
  | { readonly kind: "moved" | "lost" | "paused" };

export interface RunStore {
  claim(runId: string): Promise<ClaimedRun | null>;
  reload(run: { readonly id: string; readonly fence: number }): Promise<ReloadedRun | null>;
  append(append: {
    readonly runId: string;
    readonly fence: number;
    readonly lastSeq: number;
    readonly lastHash: Buffer;
    readonly happenings: readonly DatedHappening[];
    readonly standing: Standing;
  }): Promise<Appended>;
  /** Whether an error means that the store is away, rather than that it refuses. */
  isOutage(error: unknown): boolean;
  readRails(question: {
    readonly runId: string;
    readonly playbook: string;
    readonly target: string | null;
    readonly budget: readonly Budget[];
    readonly cooldownMs: number | null;
  }): Promise<{ readonly budget: readonly BudgetUse[]; readonly coolDownUntil: string | null }>;
}

export interface DriveLogger {
  info(fields: JsonObject, message: string): void;
  warn(fields: JsonObject, message: string): void;
  error(fields: JsonObject, message: string): void;
}

/** What is counted while runs are driven. */
export interface DriveMetrics {
  stepEnded(action: string, result: string, durationMs: number): void;
  runEnded(outcome: Outcome, playbook: string): void;
  railHit(rail: "budget" | "cool-down" | "kill-switch" | "target-lock"): void;
  takenOver(): void;
  escalated(): void;
}

/** The named points of a drive at which a test may stop the process. */
export type Checkpoint =
  | "claimed"
  | "before-observe"
  | "after-observe"
  | "before-plan"
  | "after-plan"
  | "after-ask"
  | "before-intent"
  | "after-intent"
  | "after-effect"
  | "before-verify"
  | "after-verify"
  | "before-end"
  | "after-end";

export interface World {
  readonly store: RunStore;
  readonly targets: ReadonlyMap<string, Target>;
  /** The playbook with this hash; null where this worker cannot carry out that text. */
  readonly playbook: (hash: string) => Promise<LoadedPlaybook | null>;
  /** The escalation policy that this text names, also where this worker cannot carry it out; null: it names none. */
  readonly policyOf: (hash: string) => Promise<string | null>;
  /** What approvals must be at least; a playbook or a target may ask for more. */
  readonly approvals: { readonly expireAfterMs: number; readonly atLeast: number };
  /** Whether those who approved may still do so, looked up anew. Never rejects; what cannot be looked up is not allowed. */
  readonly mayStillApprove: (
    by: readonly string[],
    approvers: readonly string[],
    signal: AbortSignal,
  ) => Promise<{ readonly allowed: boolean; readonly reason: string | null }>;
  readonly announcements: Announcements | null;
  /** The ways by which a contact is told; none where the configuration does not have it any more. */
  readonly waysOf: (contact: string) => readonly string[];
  /** Tells whoever tells people that there is something to be told. Never throws. */
  readonly tellPeople: () => void;
  /** Whether this process was told to start nothing (the pause file), beside the switch in the store. */
  readonly pausedHere: () => boolean;
  /** Tells the queue that these runs are due in `delayMs`. Never throws. */
  readonly hint: (runIds: readonly string[], delayMs: number, host?: string) => void;
  readonly worker: string;
  /** The host whose steps this worker serves too; null: none. */
  readonly host: string | null;
  /** How long a worker of a target's host is waited for. */
  readonly hostWaitMs: number;
  readonly newId: () => string;
  readonly log: DriveLogger;
  readonly metrics: DriveMetrics;
  /** Called at the named points; does nothing outside of tests. */
  readonly reached: (point: Checkpoint, runId: string) => void;
}
