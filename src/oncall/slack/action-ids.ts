/** The buttons of Slack's messages: their ids, and what each carries. Written into messages here, read again when somebody clicks. */

/** Says yes to the plan that the message shows. */
export const approveId = "paramedic-approve";
/** Says no to it. */
export const declineId = "paramedic-decline";
/** Shows every effect of the plan, where the message had no room for them. */
export const showAllId = "paramedic-show-all";
/** Says that somebody has what was handed over. */
export const acknowledgeId = "paramedic-acknowledge";

/** What Approve, Decline and Show all carry: the digest says which plan was on the reader's screen. */
export interface AnswerValue {
  readonly approval: string;
  readonly digest: string;
  readonly run: string;
}

/** What `I have it` carries. */
export interface AcknowledgeValue {
  readonly run: string;
}

/** The value of a button, as JSON; Slack takes at most 2000 characters. */
export function buttonValue(value: AnswerValue | AcknowledgeValue): string {
  return JSON.stringify(value);
}
