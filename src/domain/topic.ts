/** What people are told about a run: each topic is told once by each way, and may be brought up to date afterwards. */

/** Why an escalation policy tells people. */
export type EscalationTopic =
  /** The run ended and could not heal its target. */
  | "handed-over"
  /** The playbook holds the page, and the run has not verifiably fixed its target in that time. */
  | "held"
  /** An approval is needed and could not be asked for in Slack. */
  | "approval-unasked";

export type Topic =
  | EscalationTopic
  /** The playbook's `notify` list. */
  | "notify"
  /** The run's own message in Slack: the question and its record, with the story in its thread. */
  | "record"
  /** What is about to be changed, and how that ended, for everybody. */
  | "announcement"
  /** What a step of the run reports. */
  | "report"
  /** Each applied change, for those who ask what changed. */
  | "changes";
