/** The window that asks why a change is declined. What it decides travels with it, so that any receiver can take it. Pure. */

import type { JsonObject } from "../../domain/json.ts";
import type { AnswerValue } from "./action-ids.ts";
import { plain } from "./escape.ts";

/** By which Slack says that this window was sent off. */
export const declineCallback = "paramedic-declined";

/** The block of the reason, which errors are shown at. */
export const reasonBlock = "reason";

/** What the window decides, and the message whose button opened it. */
export type DecidedByModal = AnswerValue & { readonly channel: string; readonly ts: string };

const mostReason = 1_000;

/** A view for `views.open`. `title` says what would not be done; it is shown as plain text. */
export function declineModal(decided: DecidedByModal, title: string): JsonObject {
  return {
    type: "modal",
    callback_id: declineCallback,
    private_metadata: JSON.stringify(decided),
    title: { type: "plain_text", text: "Decline" },
    submit: { type: "plain_text", text: "Decline" },
    close: { type: "plain_text", text: "Back" },
    blocks: [
      { type: "section", text: plain(title, 500) },
      {
        type: "input",
        block_id: reasonBlock,
        label: { type: "plain_text", text: "Why?" },
        hint: { type: "plain_text", text: "It stands in the run's history." },
        element: { type: "plain_text_input", action_id: reasonBlock, multiline: true, max_length: mostReason },
      },
    ],
  };
}

/** What a window decided; null where it is none of ours. */
export function decidedByModal(metadata: unknown): DecidedByModal | null {
  if (typeof metadata !== "object" || metadata === null) return null;
  const { approval, digest, run, channel, ts } = metadata as Record<string, unknown>;
  const all = [approval, digest, run, channel, ts];
  if (!all.every((one) => typeof one === "string" && one !== "")) return null;
  return { approval, digest, run, channel, ts } as DecidedByModal;
}

/** The reason that was written; empty where there is none. */
export function reasonOf(state: unknown): string {
  const values = (state as { values?: Record<string, Record<string, { value?: unknown }>> } | null)?.values;
  const value = values?.[reasonBlock]?.[reasonBlock]?.value;
  return typeof value === "string" ? value : "";
}
