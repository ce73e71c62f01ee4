/** The window that shows every effect of a plan, for messages that had no room for them. Pure. */

import type { Approval } from "../../domain/approval.ts";
import type { JsonObject } from "../../domain/json.ts";
import { oneLine } from "../one-line.ts";
import { counted, effectBlocks, noted, said } from "./blocks.ts";
import { code } from "./escape.ts";

/**
 * Bytes for the effects. Slack takes 250 kB and 100 blocks in a window: two sections in a row have more than 2,900
 * characters, so that these are at most 84. `spare` is for when it finds that too large.
 */
export const roomInWindow = { usual: 120_000, spare: 20_000 } as const;

/** One effect, in UTF-16 units: as much as one section takes. */
const longestInWindow = 2_800;

/** What the effects of a plan are to whoever reads them, by how the question about it stands. */
export function planTitle(state: string): string {
  if (state === "approved") return "The approved plan";
  return state === "pending" ? "What it will do" : "What it would have done";
}

/** A view for `views.open`, with the effects cut to `room` bytes: then it says how many more there are, and where. */
export function planWindow(approval: Approval, room: number): JsonObject {
  const { runId, playbook, target, step, effects, state } = approval;
  const where = target === null ? "" : ` on ${oneLine(target, 100)}`;
  const command = code(`paramedic show ${runId}`);
  const { blocks, isCut } = effectBlocks(effects, { room, rest: command, longest: longestInWindow });
  return {
    type: "modal",
    title: { type: "plain_text", text: planTitle(state) },
    close: { type: "plain_text", text: "Close" },
    blocks: [
      said(`The step ${oneLine(step, 100)} of ${oneLine(playbook, 100)}${where}: ${counted(effects.length, "effect")}`),
      ...blocks,
      ...(isCut ? [noted([`What is cut here is whole in ${command}.`])] : []),
    ],
  };
}
