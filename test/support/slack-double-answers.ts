/** What the Slack double makes of an app's answers to modals and commands, and of what comes to a `response_url`. */

import type { ServerResponse } from "node:http";
import { type Fields, isFields } from "./slack-double-blocks.ts";
import { json, parsed } from "./slack-double-http.ts";
import { edit, withIds } from "./slack-double-methods.ts";
import { messageOf, type SlackEphemeral, type SlackView, type Workspace } from "./slack-double-workspace.ts";

/** What Slack does with the answer to a submission. */
export function submitted(view: SlackView, body: string): void {
  const said = parsed(body);
  if (said["response_action"] === "errors") {
    view.errors = said["errors"] as Fields;
    return;
  }
  view.errors = {};
  if (said["response_action"] === "update") view.view = withIds(said["view"] as Fields);
  else view.state = "submitted";
}

/** A `response_url`: five uses, as Slack documents. The half hour is not kept here. */
export function respond(workspace: Workspace, path: string, raw: string, response: ServerResponse): void {
  const url = workspace.responseUrls.get(path);
  if (!url || url.left === 0) {
    json(response, { ok: false, error: url ? "used_url" : "expired_url" }, 404);
    return;
  }
  url.left -= 1;
  say(workspace, "response_url", url, raw);
  response.writeHead(200, { "content-type": "text/html" }).end("ok");
}

export function say(
  workspace: Workspace,
  by: SlackEphemeral["by"],
  place: { readonly channel: string; readonly user: string; readonly ts: string | null },
  body: string,
): void {
  const said = parsed(body);
  const text = String(said["text"] ?? (Object.keys(said).length === 0 ? body : ""));
  const blocks = Array.isArray(said["blocks"]) ? said["blocks"].filter(isFields) : [];
  const original = place.ts === null ? undefined : messageOf(workspace, place.channel, place.ts);
  if (said["replace_original"] === true && original) {
    edit(original, text, blocks);
    return;
  }
  if (said["delete_original"] === true && original) {
    return void workspace.messages.splice(workspace.messages.indexOf(original), 1);
  }
  const threadTs = typeof said["thread_ts"] === "string" ? said["thread_ts"] : null;
  const { channel, user } = place;
  if (said["response_type"] !== "in_channel") {
    return void workspace.ephemerals.push({ by, channel, user, text, blocks, threadTs });
  }
  const ts = workspace.nextTs();
  const sender = workspace.botUserId;
  workspace.messages.push({
    channel,
    ts,
    threadTs,
    broadcast: false,
    user: sender,
    text,
    blocks,
    edits: 0,
    earlier: [],
  });
}
