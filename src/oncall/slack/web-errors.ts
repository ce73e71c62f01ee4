/** What Slack's own errors mean for the people who run Paramedic: whether they pass, and what is to be done. Pure. */

import type { JsonObject } from "../../domain/json.ts";

/** From the pages of the methods used, https://docs.slack.dev/reference/methods. */
const passing = new Set([
  "fatal_error",
  "internal_error",
  "service_unavailable",
  "request_timeout",
  "team_added_to_org",
  "external_channel_migrating",
]);

/** Whether the same call may work later without anybody changing anything. An error that is not known does not pass. */
export function isPassing(error: string): boolean {
  return passing.has(error);
}

const reinstall = "install the app again and give the new token as slack.botToken";
const tooLong = "the text is too long for Slack";

const remedies: Readonly<Record<string, string>> = {
  channel_not_found:
    "there is no such channel, or it is private and the app is not in it; correct the channel, or type /invite @paramedic there",
  not_in_channel: "the app is not in this channel; type /invite @paramedic there",
  is_archived: "the channel is archived; unarchive it, or name another one",
  restricted_action: "the workspace's settings do not let the app post in this channel; have an administrator allow it",
  invalid_auth: "the token is not valid; correct slack.botToken",
  not_authed: "no token came with the call; give slack.botToken",
  not_allowed_token_type: "slack.botToken must be a bot token (it begins with xoxb-)",
  token_revoked: `the token was revoked; ${reinstall}`,
  token_expired: `the token has expired; ${reinstall}`,
  account_inactive: `the app was removed from the workspace; ${reinstall}`,
  missing_scope: `the app has too few scopes; add what docs/slack.md lists, and ${reinstall}`,
  no_permission: `the app may not do this; add the scopes that docs/slack.md lists, and ${reinstall}`,
  accesslimited: "the workspace takes calls from other networks only; have an administrator allow this one",
  plan_upgrade_required: "this workspace has no user groups, which come with Slack's paid plans; name users instead",
  no_such_subteam: "there is no such user group; correct the group ids of the configuration",
  user_not_found: "there is no such user; correct the user ids of the configuration",
  user_not_in_channel: "this person is not in the channel",
  message_not_found: "the message was deleted",
  cant_update_message: "the message is not Paramedic's to change; was the app replaced by another one?",
  edit_window_closed: "the workspace's settings let nobody change a message of this age",
  expired_trigger_id: "it took more than 3 seconds until the window could be opened; press again",
  trigger_expired: "it took more than 3 seconds until the window could be opened; press again",
  exchanged_trigger_id: "the window was opened before",
  view_too_large: tooLong,
  msg_too_long: tooLong,
  msg_blocks_too_long: tooLong,
  invalid_blocks: "Slack does not take the message's blocks; please report this",
  invalid_arguments: "Slack does not take what it was told; please report this",
};

/** What to do about an error of Slack's, as the end of a sentence. `answer` is Slack's, which names a missing scope. */
export function whatToDo(error: string, answer: JsonObject): string {
  const { needed } = answer;
  if (error === "missing_scope" && typeof needed === "string" && /^[a-z:._,]{1,200}$/.test(needed)) {
    return `the app lacks the scope ${needed}; add it, and ${reinstall}`;
  }
  if (isPassing(error)) return "Slack has trouble of its own, which should pass";
  return remedies[error] ?? "see the method's page on docs.slack.dev";
}
