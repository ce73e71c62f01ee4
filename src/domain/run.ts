/** A run: one execution of one playbook, for an episode, a request or a schedule. */

import type { Outcome, RunEvent } from "./event.ts";
import type { MaintenanceWindow } from "./maintenance-window.ts";
import type { Playbook } from "./playbook.ts";

export type RunState = "ready" | "running" | "waiting" | "ended";

/** What a waiting run waits for. */
export type WaitingFor =
  | "approval"
  | "verification"
  | "target"
  | "switch"
  | "retry"
  | "worker"
  | "announcement"
  | "lead-time";

/**
 * Where a run stands after a write. Times are milliseconds since 1970. `released` gives it back: to a worker of `host`, or
 * to any where that is left out.
 */
export type Standing =
  | { readonly state: "running" }
  | { readonly state: "waiting"; readonly for: WaitingFor; readonly dueAt: number }
  | { readonly state: "released"; readonly host?: string }
  | { readonly state: "ended"; readonly outcome: Outcome };

/** All that deciding needs to know of a run. */
export interface Run {
  readonly id: string;
  readonly playbook: Playbook;
  readonly dryRun: boolean;
  readonly history: readonly RunEvent[];
  /** Whether this run holds the lock of its target at this moment. */
  readonly holdsTarget: boolean;
  /** Whether the kill switch is on at this moment. */
  readonly paused: boolean;
  /** The host of the run's target, and the one whose worker this is; null: none. */
  readonly targetHost: string | null;
  readonly workerHost: string | null;
  /** How long a worker of the target's host is waited for. */
  readonly hostWaitMs: number;
  /** Where changes are announced, and how long before where the playbook asks for that; null: nowhere. */
  readonly announcements: Announcements | null;
  /** The target's maintenance windows; left out: it has none. */
  readonly maintenance?: readonly MaintenanceWindow[];
}

export interface Announcements {
  /** `slack`, `status-page`; never empty. */
  readonly places: readonly string[];
  readonly leadMs: number;
}
