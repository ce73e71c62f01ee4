/** Posts and edits messages: one call each, and one more with a shorter message where Slack finds the first too long. */

import { createHash } from "node:crypto";
import type { Followed } from "../../domain/followed.ts";
import type { JsonObject } from "../../domain/json.ts";
import type { Saying } from "./blocks.ts";
import type { WebAnswer, WebCall } from "./web-call.ts";

/** Where a message stands in Slack. `channel` is Slack's id, whatever the configuration calls it. */
export interface Standing {
  readonly channel: string;
  readonly ts: string;
  /** The app that posted it; empty where Slack does not say. */
  readonly appId: string;
}

export type Refused = Extract<WebAnswer, { readonly ok: false }>;

export type Posted = { readonly ok: true; readonly standing: Standing; readonly inThread: boolean } | Refused;

/** A message and, shortest last, what to say in its place where Slack finds it too long. */
export type Sayings = readonly [Saying, ...Saying[]];

/** The message that a reply belongs to; `broadcast` shows the reply in the channel too, which notifies as a message does. */
export interface Thread {
  readonly ts: string;
  readonly broadcast: boolean;
}

/** Posts to a channel, or as a reply. A reply to a message that was deleted appears in the channel: `inThread` is then false. */
export async function post(
  call: WebCall,
  channel: string,
  sayings: Sayings,
  signal: AbortSignal,
  thread?: Thread,
): Promise<Posted> {
  const reply: JsonObject = thread ? { thread_ts: thread.ts, reply_broadcast: thread.broadcast } : {};
  // Links are ours, and previews of them would say nothing.
  const around = { channel, ...reply, unfurl_links: false, unfurl_media: false };
  const answer = await firstThatFits(call, "chat.postMessage", around, sayings, signal);
  if (!answer.ok) return answer;
  const { channel: id, ts, message } = answer.response;
  if (typeof id !== "string" || typeof ts !== "string") return unreadable;
  const posted = isObject(message) ? message : {};
  const appId = typeof posted["app_id"] === "string" ? posted["app_id"] : "";
  return { ok: true, standing: { channel: id, ts, appId }, inThread: posted["thread_ts"] !== undefined };
}

/** Replaces what a message says. */
export function edit(call: WebCall, at: Standing, sayings: Sayings, signal: AbortSignal): Promise<WebAnswer> {
  return firstThatFits(call, "chat.update", { channel: at.channel, ts: at.ts }, sayings, signal);
}

const tooLong = new Set(["msg_blocks_too_long", "msg_too_long", "invalid_blocks"]);

async function firstThatFits(
  call: WebCall,
  method: string,
  around: JsonObject,
  [saying, ...shorter]: Sayings,
  signal: AbortSignal,
): Promise<WebAnswer> {
  const answer = await call(method, { ...around, text: saying.text, blocks: saying.blocks }, signal);
  const [next, ...rest] = shorter;
  if (answer.ok || !next || !tooLong.has(answer.error)) return answer;
  return firstThatFits(call, method, around, [next, ...rest], signal);
}

const unreadable: Refused = {
  ok: false,
  error: "unreadable",
  reason: "Slack's answer does not say where the message stands.",
  retryable: true,
};

/** Whether the message was deleted. */
export function isGone(answer: Refused): boolean {
  return answer.error === "message_not_found";
}

/** Whether Slack lets nobody edit this message any more. */
export function isFrozen(answer: Refused): boolean {
  return answer.error === "cant_update_message" || answer.error === "edit_window_closed";
}

/** Distinguishes what a message shows from what it showed before. */
export function digestOf(saying: Saying): string {
  return createHash("sha256").update(JSON.stringify(saying)).digest("base64url").slice(0, 22);
}

/** A failure of Slack as one of the way, with what is kept; `retryable` decides, whatever Slack thinks. */
export function unfollowed(
  { error, reason, retryAfterMs }: Refused,
  retryable: boolean,
  { place, shownSeq }: { readonly place: JsonObject | null; readonly shownSeq: number },
): Followed {
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  const throttled = error === "ratelimited" ? { throttled: true } : {};
  return { ok: false, reason, retryable, ...wait, ...throttled, place, shownSeq };
}

/** Where a message stands, from what was kept; null: nothing was posted. */
export function standingOf(place: JsonObject | null): Standing | null {
  const { channel, ts, appId } = place ?? {};
  if (typeof channel !== "string" || typeof ts !== "string") return null;
  return { channel, ts, appId: typeof appId === "string" ? appId : "" };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
