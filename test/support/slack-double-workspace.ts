/** The workspace that the Slack double stands for: its people, groups, channels, messages and modals. */

import { randomBytes } from "node:crypto";
import type { Fields } from "./slack-double-blocks.ts";

export interface SlackUser {
  readonly id: string;
  readonly name: string;
  /** The workspace that the user belongs to; another one for somebody of a shared channel. */
  readonly teamId: string;
  readonly deactivated: boolean;
  /** `guest`: a multi-channel one; `single-channel-guest` likewise. */
  readonly kind: "member" | "guest" | "single-channel-guest" | "bot";
}

export interface SlackChannel {
  readonly id: string;
  readonly name: string;
  isPrivate: boolean;
  archived: boolean;
  /** Whether Paramedic's app is in it. */
  appIsIn: boolean;
  /** Who may be told something there that only they see; null: everybody. */
  members: Set<string> | null;
}

/** A message as it stands. `ts` names it within its channel. */
export interface SlackMessage {
  readonly channel: string;
  readonly ts: string;
  /** The message that it replies to; null: it is none. */
  readonly threadTs: string | null;
  /** Whether a reply is shown in the channel too. */
  readonly broadcast: boolean;
  readonly user: string;
  text: string;
  blocks: readonly Fields[];
  /** How often it was changed. */
  edits: number;
  /** What it was, from the first on, without what it is. */
  readonly earlier: { readonly text: string; readonly blocks: readonly Fields[] }[];
}

/** Something that only one user sees: `chat.postEphemeral`, a `response_url`, or the answer to a slash command. */
export interface SlackEphemeral {
  readonly by: "chat.postEphemeral" | "response_url" | "command";
  readonly channel: string;
  readonly user: string;
  readonly text: string;
  readonly blocks: readonly Fields[];
  readonly threadTs: string | null;
}

export interface SlackView {
  readonly id: string;
  readonly user: string;
  /** As given to `views.open` or `views.update`. */
  view: Fields;
  hash: string;
  /** `submitted`: it was taken; `open` also after errors that it shows. */
  state: "open" | "submitted";
  /** What is shown at its fields, by block id. */
  errors: Fields;
}

export interface Workspace {
  readonly teamId: string;
  readonly appId: string;
  readonly botId: string;
  readonly botUserId: string;
  readonly users: Map<string, SlackUser>;
  readonly groups: Map<string, Set<string>>;
  readonly channels: Map<string, SlackChannel>;
  readonly messages: SlackMessage[];
  readonly ephemerals: SlackEphemeral[];
  readonly views: SlackView[];
  /** Until when (`performance.now()`) a trigger may open a modal, and for whom. */
  readonly triggers: Map<string, { readonly user: string; readonly until: number; used: boolean }>;
  /** The messages that can no longer be edited: `edit_window_closed`. */
  readonly closed: Set<string>;
  readonly responseUrls: Map<string, ResponseUrl>;
  nextTs(): string;
}

export interface ResponseUrl {
  readonly channel: string;
  readonly user: string;
  /** The message that the click was on; null: it was a command. */
  readonly ts: string | null;
  left: number;
}

export function newWorkspace(): Workspace {
  let seconds = Math.floor(Date.now() / 1_000);
  let count = 0;
  return {
    teamId: "T0PARAMEDIC",
    appId: "A0PARAMEDIC",
    botId: "B0PARAMEDIC",
    botUserId: "U0PARAMEDIC",
    users: new Map(),
    groups: new Map(),
    channels: new Map(),
    messages: [],
    ephemerals: [],
    views: [],
    triggers: new Map(),
    closed: new Set(),
    responseUrls: new Map(),
    nextTs: () => {
      count += 1;
      seconds = Math.max(seconds, Math.floor(Date.now() / 1_000));
      return `${seconds}.${String(count).padStart(6, "0")}`;
    },
  };
}

/** A channel by id, or by name with or without `#`. */
export function channelOf(workspace: Workspace, given: string): SlackChannel | undefined {
  const name = given.replace(/^#/, "");
  return workspace.channels.get(given) ?? [...workspace.channels.values()].find((one) => one.name === name);
}

export function messageOf(workspace: Workspace, channel: string, ts: string): SlackMessage | undefined {
  return workspace.messages.find((one) => one.channel === channel && one.ts === ts);
}

/** As Slack shows a message in its answers and in what it sends for a click. */
export function messageBody(workspace: Workspace, message: SlackMessage): Fields {
  return {
    type: "message",
    user: message.user,
    ts: message.ts,
    bot_id: workspace.botId,
    app_id: workspace.appId,
    team: workspace.teamId,
    text: message.text,
    ...(message.blocks.length > 0 && { blocks: message.blocks }),
    ...(message.threadTs !== null && { thread_ts: message.threadTs, parent_user_id: workspace.botUserId }),
    ...(message.edits > 0 && { edited: { user: message.user, ts: message.ts } }),
  };
}

/** Slack gives ids to the blocks that have none. */
export function withBlockIds(blocks: readonly Fields[]): readonly Fields[] {
  return blocks.map((block) => ({ ...block, block_id: block["block_id"] ?? randomBytes(3).toString("base64url") }));
}
