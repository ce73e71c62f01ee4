/**
 * Whether a button that was pressed is on the run's own message as it stands now. Waits where that cannot be known yet,
 * and says where the message that counts is.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Approval } from "../../domain/approval.ts";
import type { Origin } from "./click.ts";
import { link } from "./escape.ts";
import { notCounted, type Objection, orCommandLine } from "./objections.ts";
import type { WebCall } from "./web-call.ts";
import type { RecordPlace, SlackWorld } from "./world.ts";

/**
 * Objects to a button of another message. Where the message stands is stored when Slack has answered the post, and people
 * click before it has: that is waited for, up to `waitMs`.
 */
export type ObjectionToMessage = (
  from: Origin,
  approval: Approval,
  waitMs: number,
  signal: AbortSignal,
) => Promise<Objection | null | "not-known-yet">;

const pauseMs = 500;

export function createObjectionToMessage(world: Pick<SlackWorld, "recordPlace">, call: WebCall): ObjectionToMessage {
  /** Names the message that counts, with a link to it where Slack gives one. */
  async function theOneThatCounts(place: RecordPlace, signal: AbortSignal): Promise<string> {
    const words = "The message that counts";
    const answer = await call("chat.getPermalink", { channel: place.channel, message_ts: place.ts }, signal);
    const url = answer.ok ? answer.response["permalink"] : null;
    return typeof url === "string" ? link(url, words) : words;
  }

  return async (from, approval, waitMs, signal) => {
    const beganAt = performance.now();
    for (;;) {
      const place = await world.recordPlace(approval.runId);
      if (approval.state !== "pending" || !mayComeToStand(place, from)) {
        const reason = whyAnother(place, from);
        if (reason === null) return null;
        // Only to people who are where that message is.
        const isThere = place !== null && place.channel === from.channel;
        const counts = isThere ? await theOneThatCounts(place, signal) : "The message that counts";
        return {
          reason,
          said: `${notCounted} ${counts} is the newest one about this run; ${orCommandLine(approval.runId)}.`,
        };
      }
      if (performance.now() - beganAt >= waitMs) return "not-known-yet";
      await sleep(pauseMs, undefined, { signal });
    }
  };
}

/** Whether the message is perhaps the run's newest one, which is being posted. */
function mayComeToStand(place: RecordPlace | null, { app, channel, ts }: Origin): boolean {
  if (place === null) return true;
  if (place.appId && app !== place.appId) return false;
  // Slack's times of messages have as many digits each.
  return channel === place.channel && ts !== null && ts > place.ts;
}

/** As the end of a sentence that begins with the person's name; null: it is the run's message. */
function whyAnother(place: RecordPlace | null, { app, channel, ts }: Origin): string | null {
  if (place === null) return "pressed a button of a message that is not known to stand";
  if (place.appId && app !== place.appId) return `came by another Slack app (${app ?? "without a name"})`;
  if (channel === place.channel && ts === place.ts) return null;
  return `pressed a button of another message (${channel ?? "no channel"}, ${ts ?? "no message"})`;
}
