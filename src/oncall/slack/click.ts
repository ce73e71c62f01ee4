/** What people press and type in Slack, read from Slack's signed payloads into what is kept and decided. Pure. */

import type { JsonObject } from "../../domain/json.ts";
import { type AnswerValue, acknowledgeId, approveId, declineId, showAllId } from "./action-ids.ts";
import { decidedByModal, declineCallback, reasonOf } from "./decline-modal.ts";

/** Who it was, and where, as Slack's payload says it; null where it does not. */
export type Origin = {
  readonly user: string;
  /** The workspace of the person. */
  readonly userTeam: string | null;
  /** The workspace in which it happened. */
  readonly team: string | null;
  readonly enterprise: string | null;
  /** The Slack app that this was sent to. */
  readonly app: string | null;
  readonly channel: string | null;
  /** The message whose button was pressed. */
  readonly ts: string | null;
};

/** What is kept of a press, or of a command, before anything is made of it. */
export type Click =
  | ({ readonly kind: "approve"; readonly from: Origin } & AnswerValue)
  /** The button, which only opens the window for the reason. */
  | ({ readonly kind: "ask-to-decline"; readonly from: Origin } & AnswerValue)
  | ({ readonly kind: "decline"; readonly reason: string; readonly from: Origin } & AnswerValue)
  | { readonly kind: "acknowledge"; readonly run: string; readonly from: Origin }
  /** A command that changes something. It is kept so that it is done once, and never done late. */
  | { readonly kind: "command"; readonly text: string; readonly from: Origin };

/** A click with what identifies it among all presses by all people. */
export interface Pressed<C extends Click = Click> {
  readonly key: string;
  readonly click: C;
  /** Opens a window for 3 seconds; null where there is none. */
  readonly trigger: string | null;
}

/** The press of `Show all`: it changes nothing, so it is never kept. */
export interface Look extends AnswerValue {
  readonly from: Origin;
  /** Opens a window for 3 seconds; null where there is none. */
  readonly trigger: string | null;
}

/** The press of `Show all`; null where the payload is not what Slack sends for one. */
export function readLook(body: unknown): Look | null {
  const pressed = readButton(body);
  return pressed?.id === showAllId && pressed.asked ? { ...pressed.asked, trigger: pressed.trigger } : null;
}

/** The press of a button that decides something; null where the payload is not what Slack sends for one. */
export function readPress(body: unknown): Pressed | null {
  const pressed = readButton(body);
  if (!pressed) return null;
  const { id, at, run, from, asked, trigger } = pressed;
  const key = (what: string) => `${id}:${from.user}:${at}:${what}`;
  if (id === acknowledgeId) return { key: key(run), click: { kind: "acknowledge", run, from }, trigger };
  if (!asked) return null;
  if (id === approveId) return { key: key(asked.approval), click: { kind: "approve", ...asked }, trigger };
  if (id === declineId) return { key: key(asked.approval), click: { kind: "ask-to-decline", ...asked }, trigger };
  return null;
}

/** What each of our buttons sends; `asked` is null where it names no approval. */
function readButton(body: unknown) {
  const payload = objectOf(body);
  const action = objectOf(listOf(payload["actions"])[0]);
  const from = originOf(payload);
  const value = objectOf(parsed(textOf(action["value"])));
  const run = idOf(value["run"]);
  const id = textOf(action["action_id"]);
  const at = textOf(action["action_ts"]);
  if (!from || !id || !at || !run) return null;
  const approval = idOf(value["approval"]);
  const digest = textOf(value["digest"]);
  const asked = approval && digest ? { approval, digest, run, from } : null;
  return { id, at, run, from, asked, trigger: textOf(payload["trigger_id"]) };
}

/** The window for the reason, sent off; null where the payload is not what Slack sends for one. */
export function readDecline(body: unknown): Pressed<Extract<Click, { kind: "decline" }>> | null {
  const payload = objectOf(body);
  const view = objectOf(payload["view"]);
  const from = originOf(payload);
  const id = textOf(view["id"]);
  const decided = decidedByModal(parsed(textOf(view["private_metadata"])));
  if (!from || !id || !decided || view["callback_id"] !== declineCallback) return null;
  if (!idOf(decided.approval) || !idOf(decided.run)) return null;
  const { channel, ts, ...asked } = decided;
  const click = {
    kind: "decline" as const,
    ...asked,
    reason: writable(reasonOf(view["state"]), mostReason),
    from: { ...from, channel, ts },
  };
  return { key: `${declineCallback}:${from.user}:${id}`, click, trigger: null };
}

/** A slash command as Slack sends it. */
export interface Command {
  readonly key: string;
  readonly text: string;
  readonly from: Origin;
  /** Where an answer may be sent for half an hour; null where Slack gave none. */
  readonly responseUrl: string | null;
}

/** The slash command of a payload; null where it is none. */
export function readCommand(body: unknown): Command | null {
  const payload = objectOf(body);
  const user = textOf(payload["user_id"]);
  const trigger = textOf(payload["trigger_id"]);
  if (!user || !trigger) return null;
  const team = textOf(payload["team_id"]);
  return {
    key: `command:${user}:${trigger}`,
    text: writable(textOf(payload["text"]) ?? "", mostText),
    from: {
      user,
      userTeam: team,
      team,
      enterprise: textOf(payload["enterprise_id"]),
      app: textOf(payload["api_app_id"]),
      channel: textOf(payload["channel_id"]),
      ts: null,
    },
    responseUrl: textOf(payload["response_url"]),
  };
}

/** A click as it was kept, by this version or another one; null: this version does not know it. */
export function keptClick(kept: JsonObject): Click | null {
  const from = objectOf(kept["from"]);
  const known = ["approve", "ask-to-decline", "decline", "acknowledge", "command"].includes(String(kept["kind"]));
  return known && textOf(from["user"]) ? (kept as unknown as Click) : null;
}

/** As histories name a user of Slack. */
export function whoOf(from: Origin): string {
  return `slack:${from.user}`;
}

const mostText = 4_000;
const mostReason = 1_000;

function originOf(payload: Record<string, unknown>): Origin | null {
  const user = objectOf(payload["user"]);
  const id = textOf(user["id"]);
  if (!id) return null;
  const container = objectOf(payload["container"]);
  return {
    user: id,
    userTeam: textOf(user["team_id"]),
    team: textOf(objectOf(payload["team"])["id"]),
    enterprise: textOf(objectOf(payload["enterprise"])["id"]),
    app: textOf(payload["api_app_id"]),
    channel: textOf(objectOf(payload["channel"])["id"]) ?? textOf(container["channel_id"]),
    ts: textOf(objectOf(payload["message"])["ts"]) ?? textOf(container["message_ts"]),
  };
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

// Postgres stores no NUL, and no other control character but these two has a meaning in what a person writes.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unwritable = /[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** What a person wrote, as it can be stored. */
function writable(text: string, most: number): string {
  return text.replace(unwritable, " ").trim().slice(0, most).toWellFormed();
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function idOf(value: unknown): string | null {
  return typeof value === "string" && uuid.test(value) ? value : null;
}

function parsed(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
