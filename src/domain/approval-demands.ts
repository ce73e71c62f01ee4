/** What a playbook or a target asks of approvals beyond what the configuration does. */

/** What approvals must be beyond the configuration's defaults; null where nothing more is asked. */
export interface ApprovalDemands {
  /** How many different people. */
  readonly atLeast: number | null;
  readonly expireAfterMs: number | null;
  /** The set of the configuration's `approvers` that each must be in. */
  readonly by: string | null;
}
