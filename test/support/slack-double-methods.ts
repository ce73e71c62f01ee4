/** The methods of Slack's Web API that the double knows, over its workspace: each answers as Slack's own would. */

import { randomBytes } from "node:crypto";
import { type Fields, isFields, refusalOfBlocks, refusalOfView } from "./slack-double-blocks.ts";
import {
  channelOf,
  messageBody,
  messageOf,
  type SlackMessage,
  type SlackView,
  type Workspace,
  withBlockIds,
} from "./slack-double-workspace.ts";

interface Method {
  /** Null: any token may. */
  readonly scope: string | null;
  answer(workspace: Workspace, args: Fields): Fields;
}

const longestPosted = 40_000;
const longestUpdated = 4_000;

export const methods: Readonly<Record<string, Method>> = {
  "auth.test": {
    scope: null,
    answer: (workspace) => ({
      ok: true,
      url: "https://paramedic-test.slack.com/",
      team: "Paramedic's test",
      user: "paramedic",
      team_id: workspace.teamId,
      user_id: workspace.botUserId,
      bot_id: workspace.botId,
      is_enterprise_install: false,
    }),
  },
  "bots.info": { scope: "users:read", answer: botsInfo },
  "chat.postMessage": { scope: "chat:write", answer: postMessage },
  "chat.update": { scope: "chat:write", answer: update },
  "chat.getPermalink": { scope: null, answer: getPermalink },
  "chat.postEphemeral": { scope: "chat:write", answer: postEphemeral },
  "conversations.info": { scope: "channels:read", answer: conversationsInfo },
  "users.info": { scope: "users:read", answer: usersInfo },
  "usergroups.list": { scope: "usergroups:read", answer: usergroupsList },
  "usergroups.users.list": { scope: "usergroups:read", answer: usergroupsUsersList },
  "views.open": { scope: null, answer: viewsOpen },
  "views.update": { scope: null, answer: viewsUpdate },
};

function refused(error: string, messages: readonly string[] = []): Fields {
  if (messages.length === 0) return { ok: false, error };
  const shown = messages.map((message) => `[ERROR] ${message}`);
  return { ok: false, error, errors: messages, response_metadata: { messages: shown } };
}

function botsInfo(workspace: Workspace, args: Fields): Fields {
  if (args["bot"] !== workspace.botId) return refused("bot_not_found");
  const { appId, botUserId, botId } = workspace;
  return { ok: true, bot: { id: botId, deleted: false, name: "paramedic", app_id: appId, user_id: botUserId } };
}

/** What is wrong with the text and the blocks of a message; null: nothing. */
function refusalOfContent(args: Fields, longest: number): Fields | null {
  const { text, blocks } = args;
  const given = Array.isArray(blocks) ? blocks.length : 0;
  if (blocks !== undefined && !Array.isArray(blocks)) return refused("invalid_blocks_format");
  if (!text && given === 0) return refused("no_text");
  if (typeof text === "string" && text.length > longest) return refused("msg_too_long");
  if (given === 0) return null;
  const problem = refusalOfBlocks(blocks);
  return problem && refused(problem.error, problem.messages);
}

function blocksOf(args: Fields): readonly Fields[] {
  return Array.isArray(args["blocks"]) ? withBlockIds(args["blocks"] as Fields[]) : [];
}

function postMessage(workspace: Workspace, args: Fields): Fields {
  const channel = channelOf(workspace, String(args["channel"] ?? ""));
  if (!channel || (channel.isPrivate && !channel.appIsIn)) return refused("channel_not_found");
  if (channel.archived) return refused("is_archived");
  if (!channel.appIsIn) return refused("not_in_channel");
  const wrong = refusalOfContent(args, longestPosted);
  if (wrong) return wrong;
  const asked = args["thread_ts"];
  if (asked !== undefined && !/^\d+\.\d{6}$/.test(String(asked))) return refused("invalid_thread_ts");
  // A reply to a message that is gone becomes a message of the channel, without a word: slack-go#1571.
  const parent = asked === undefined ? undefined : messageOf(workspace, channel.id, String(asked));
  const message: SlackMessage = {
    channel: channel.id,
    ts: workspace.nextTs(),
    threadTs: parent ? (parent.threadTs ?? parent.ts) : null,
    broadcast: isTrue(args["reply_broadcast"]),
    user: workspace.botUserId,
    text: String(args["text"] ?? ""),
    blocks: blocksOf(args),
    edits: 0,
    earlier: [],
  };
  workspace.messages.push(message);
  return { ok: true, channel: channel.id, ts: message.ts, message: messageBody(workspace, message) };
}

function update(workspace: Workspace, args: Fields): Fields {
  const channel = workspace.channels.get(String(args["channel"] ?? ""));
  if (!channel) return refused("channel_not_found");
  const message = messageOf(workspace, channel.id, String(args["ts"] ?? ""));
  if (!message) return refused("message_not_found");
  if (channel.archived) return refused("is_archived");
  if (message.user !== workspace.botUserId) return refused("cant_update_message");
  if (workspace.closed.has(message.ts)) return refused("edit_window_closed");
  const wrong = refusalOfContent(args, longestUpdated);
  if (wrong) return wrong;
  edit(message, String(args["text"] ?? ""), blocksOf(args));
  const { ts, text } = message;
  return { ok: true, channel: channel.id, ts, text, message: messageBody(workspace, message) };
}

/** Text without blocks removes the blocks that were there. */
export function edit(message: SlackMessage, text: string, blocks: readonly Fields[]): void {
  message.earlier.push({ text: message.text, blocks: message.blocks });
  message.text = text;
  message.blocks = blocks;
  message.edits += 1;
}

function getPermalink(workspace: Workspace, args: Fields): Fields {
  const channel = workspace.channels.get(String(args["channel"] ?? ""));
  if (!channel) return refused("channel_not_found");
  const message = messageOf(workspace, channel.id, String(args["message_ts"] ?? ""));
  if (!message) return refused("message_not_found");
  const permalink = `https://paramedic-test.slack.com/archives/${channel.id}/p${message.ts.replace(".", "")}`;
  return { ok: true, channel: channel.id, permalink };
}

function postEphemeral(workspace: Workspace, args: Fields): Fields {
  const channel = channelOf(workspace, String(args["channel"] ?? ""));
  if (!channel) return refused("channel_not_found");
  if (channel.archived) return refused("is_archived");
  if (!channel.appIsIn) return refused("not_in_channel");
  const user = String(args["user"] ?? "");
  if (!workspace.users.has(user)) return refused("user_not_found");
  if (channel.members && !channel.members.has(user)) return refused("user_not_in_channel");
  const wrong = refusalOfContent(args, longestPosted);
  if (wrong) return wrong;
  const text = String(args["text"] ?? "");
  const threadTs = args["thread_ts"] === undefined ? null : String(args["thread_ts"]);
  workspace.ephemerals.push({
    by: "chat.postEphemeral",
    channel: channel.id,
    user,
    text,
    blocks: blocksOf(args),
    threadTs,
  });
  return { ok: true, message_ts: workspace.nextTs() };
}

function conversationsInfo(workspace: Workspace, args: Fields): Fields {
  const channel = workspace.channels.get(String(args["channel"] ?? ""));
  if (!channel) return refused("channel_not_found");
  const { id, name, archived, appIsIn, isPrivate } = channel;
  return { ok: true, channel: { id, name, is_archived: archived, is_member: appIsIn, is_private: isPrivate } };
}

function usersInfo(workspace: Workspace, args: Fields): Fields {
  const user = workspace.users.get(String(args["user"] ?? ""));
  if (!user) return refused("user_not_found");
  return {
    ok: true,
    user: {
      id: user.id,
      team_id: user.teamId,
      name: user.name,
      real_name: user.name,
      deleted: user.deactivated,
      is_bot: user.kind === "bot",
      is_app_user: false,
      is_restricted: user.kind === "guest" || user.kind === "single-channel-guest",
      is_ultra_restricted: user.kind === "single-channel-guest",
      profile: { real_name: user.name, display_name: user.name, team: user.teamId },
    },
  };
}

function usergroupsList(workspace: Workspace): Fields {
  const groups = [...workspace.groups].map(([id, users]) => ({
    id,
    team_id: workspace.teamId,
    is_usergroup: true,
    name: id,
    handle: id.toLowerCase(),
    date_delete: 0,
    user_count: users.size,
  }));
  return { ok: true, usergroups: groups };
}

function usergroupsUsersList(workspace: Workspace, args: Fields): Fields {
  if (!args["usergroup"]) return refused("invalid_arguments", ["missing required field: usergroup"]);
  const users = workspace.groups.get(String(args["usergroup"]));
  return users ? { ok: true, users: [...users] } : refused("no_such_subteam");
}

function viewsOpen(workspace: Workspace, args: Fields): Fields {
  const trigger = workspace.triggers.get(String(args["trigger_id"] ?? ""));
  if (!trigger) return refused("invalid_trigger_id");
  if (performance.now() > trigger.until) return refused("expired_trigger_id");
  if (trigger.used) return refused("exchanged_trigger_id");
  const wrong = refusalOfView(args["view"]);
  if (wrong) return refused(wrong.error, wrong.messages);
  trigger.used = true;
  const { user } = trigger;
  const view: SlackView = {
    id: `V${randomBytes(5).toString("hex").toUpperCase()}`,
    user,
    view: withIds(args["view"] as Fields),
    hash: newHash(),
    state: "open",
    errors: {},
  };
  workspace.views.push(view);
  return { ok: true, view: viewBody(workspace, view) };
}

function viewsUpdate(workspace: Workspace, args: Fields): Fields {
  const { view_id: id, external_id: external } = args;
  const isAsked = (one: SlackView) => (id === undefined ? one.view["external_id"] === external : one.id === id);
  const found = id === undefined && external === undefined ? undefined : workspace.views.find(isAsked);
  if (found?.state !== "open") return refused("not_found");
  if (args["hash"] !== undefined && args["hash"] !== found.hash) return refused("hash_conflict");
  const wrong = refusalOfView(args["view"]);
  if (wrong) return refused(wrong.error, wrong.messages);
  found.view = withIds(args["view"] as Fields);
  found.hash = newHash();
  return { ok: true, view: viewBody(workspace, found) };
}

/** As Slack shows a view in its answers and in what it sends for a submission. */
export function viewBody(workspace: Workspace, view: SlackView, values: Fields = {}): Fields {
  const given = view.view;
  return {
    id: view.id,
    team_id: workspace.teamId,
    type: "modal",
    title: given["title"],
    submit: given["submit"] ?? null,
    close: given["close"] ?? null,
    blocks: given["blocks"],
    private_metadata: given["private_metadata"] ?? "",
    callback_id: given["callback_id"] ?? "",
    external_id: given["external_id"] ?? "",
    state: { values },
    hash: view.hash,
    clear_on_close: false,
    notify_on_close: given["notify_on_close"] ?? false,
    previous_view_id: null,
    root_view_id: view.id,
    app_id: workspace.appId,
    bot_id: workspace.botId,
    app_installed_team_id: workspace.teamId,
  };
}

export function withIds(view: Fields): Fields {
  return { ...view, blocks: withBlockIds(Array.isArray(view["blocks"]) ? view["blocks"].filter(isFields) : []) };
}

function newHash(): string {
  return `${Math.floor(Date.now() / 1_000)}.${randomBytes(4).toString("hex")}`;
}

function isTrue(value: unknown): boolean {
  return value === true || value === "true" || value === "1";
}
