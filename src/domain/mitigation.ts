/** A mitigation: a temporary change in force, or one that was. */

import type { RevertOnEnd } from "./playbook.ts";

export type MitigationState = "in-force" | "reverting" | "reverted" | "kept" | "failed";

export interface Mitigation {
  readonly id: string;
  readonly runId: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly step: string;
  readonly action: string;
  readonly effects: readonly string[];
  readonly state: MitigationState;
  /** When it is put back by itself; null: not by time. */
  readonly revertAt: string | null;
  readonly onResolved: boolean;
  /** How its own run must end for it to end too. */
  readonly onEnd: readonly RevertOnEnd[];
  readonly beganAt: string;
  readonly endedAt: string | null;
  readonly decidedBy: string | null;
  readonly reason: string | null;
  /** The run that puts it back; null: none yet. */
  readonly revertRun: string | null;
}

/** `over`: it was put back or kept already. */
export type MitigationDecided =
  | { readonly kind: "decided"; readonly mitigation: Mitigation }
  | { readonly kind: "over"; readonly mitigation: Mitigation }
  | { readonly kind: "not-found" };
