/** What the Slack double sends to an app: its bodies, their signature, and the request itself. */

import { createHmac, randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { type Fields, isFields } from "./slack-double-blocks.ts";
import { viewBody } from "./slack-double-methods.ts";
import { messageBody, type SlackMessage, type SlackView, type Workspace } from "./slack-double-workspace.ts";

/** How a request differs from what Slack would send. */
export interface Forgery {
  /** Signed with this in place of the app's own. */
  readonly secret?: string;
  /** In place of now; negative: in the future. */
  readonly secondsAgo?: number;
  /** In place of `v0`, in the signed text and in the header. */
  readonly version?: string;
  /** The header as it is sent; null: it is left out. */
  readonly signature?: string | null;
  /** The header as it is sent, whatever was signed; null: it is left out. */
  readonly timestamp?: string | null;
  /** Changes the body after it was signed. */
  readonly alter?: (body: string) => string;
}

export interface SignedRequest {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** How the app answered. Over Socket Mode the status is 200 and the body what came with the acknowledgement. */
export interface Answered {
  readonly status: number;
  readonly body: string;
  /** From the first byte sent to the last one received. */
  readonly ms: number;
}

/** A click on a button of a message. What is left out is as Slack would say it. */
export interface Click {
  readonly message: SlackMessage;
  readonly actionId: string;
  readonly user: string;
  /** Looks for the button in what the message was, as somebody does whose Slack has not yet shown the edit. */
  readonly stale?: boolean;
  readonly value?: string;
  readonly userTeam?: string;
  readonly team?: string;
  readonly appId?: string;
  readonly channel?: string;
  readonly messageTs?: string;
}

const answerWithinMs = 10_000;

/** As Slack's documentation "Verifying requests from Slack" says. */
export function sign(body: string, signingSecret: string, forgery: Forgery = {}, type?: string): SignedRequest {
  const { secret = signingSecret, secondsAgo = 0, version = "v0", alter } = forgery;
  const signedAt = String(Math.floor(Date.now() / 1_000) - secondsAgo);
  const digest = createHmac("sha256", secret || "none")
    .update(`${version}:${signedAt}:${body}`)
    .digest("hex");
  const timestamp = forgery.timestamp === undefined ? signedAt : forgery.timestamp;
  const signature = forgery.signature === undefined ? `${version}=${digest}` : forgery.signature;
  return {
    body: alter ? alter(body) : body,
    headers: {
      "content-type": type ?? "application/x-www-form-urlencoded",
      "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
      ...(timestamp !== null && { "x-slack-request-timestamp": timestamp }),
      ...(signature !== null && { "x-slack-signature": signature }),
    },
  };
}

/** Sends it once. Rejects where there is no answer within 10 seconds. */
export async function send(to: string, { body, headers }: SignedRequest, method = "POST"): Promise<Answered> {
  const began = performance.now();
  return await new Promise((resolve, reject) => {
    const sent = httpRequest(to, { method, headers, agent: false, timeout: answerWithinMs }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("error", reject);
      response.on("end", () => {
        const ms = performance.now() - began;
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces).toString("utf8"), ms });
      });
    });
    sent.on("timeout", () => sent.destroy(new Error(`${to} did not answer within ${answerWithinMs} ms.`)));
    sent.on("error", reject);
    sent.end(method === "GET" ? undefined : body);
  });
}

export function newTrigger(workspace: Workspace, user: string, lifeMs: number): string {
  const id = `${Date.now()}.${workspace.triggers.size}.${randomBytes(16).toString("hex")}`;
  workspace.triggers.set(id, { user, until: performance.now() + lifeMs, used: false });
  return id;
}

/** The payload of `block_actions`. Throws where the message has no such button. */
export function clickPayload(workspace: Workspace, click: Click, triggerId: string, responseUrl: string): Fields {
  const { message } = click;
  const shown = [message.blocks, ...(click.stale ? message.earlier.map(({ blocks }) => blocks) : [])];
  const button = shown.map((blocks) => buttonOf(blocks, click.actionId)).find((found) => found !== undefined);
  if (!button) throw new Error(`The message ${message.ts} has no button '${click.actionId}'.`);
  const channel = click.channel ?? message.channel;
  const ts = click.messageTs ?? message.ts;
  const thread = message.threadTs === null ? {} : { thread_ts: message.threadTs };
  return {
    type: "block_actions",
    ...common(workspace, click.user, click),
    container: { type: "message", message_ts: ts, channel_id: channel, is_ephemeral: false, ...thread },
    trigger_id: triggerId,
    channel: { id: channel, name: workspace.channels.get(channel)?.name ?? "privategroup" },
    message: { ...messageBody(workspace, message), ts },
    state: { values: {} },
    response_url: responseUrl,
    actions: [
      {
        action_id: click.actionId,
        block_id: button.block["block_id"],
        text: button.element["text"],
        ...("value" in button.element && { value: button.element["value"] }),
        ...(click.value !== undefined && { value: click.value }),
        ...("style" in button.element && { style: button.element["style"] }),
        type: "button",
        action_ts: workspace.nextTs(),
      },
    ],
  };
}

/** The payload of `view_submission`: `values` by the action id of the field. Throws where Slack would not let one submit. */
export function submissionPayload(
  workspace: Workspace,
  view: SlackView,
  values: Readonly<Record<string, string>>,
  overrides: { readonly user?: string; readonly userTeam?: string; readonly team?: string; readonly appId?: string },
  triggerId: string,
): Fields {
  const state: Record<string, Fields> = {};
  const blocks = (viewBody(workspace, view)["blocks"] as readonly Fields[]).filter(({ type }) => type === "input");
  for (const block of blocks) {
    const element = block["element"] as Fields;
    const actionId = String(element["action_id"]);
    const value = values[actionId] ?? null;
    if (value === null && block["optional"] !== true) throw new Error(`Slack asks for '${actionId}' first.`);
    if (value !== null && value.length > Number(element["max_length"] ?? 3_000)) {
      throw new Error(`Slack takes no ${value.length} characters in '${actionId}'.`);
    }
    state[String(block["block_id"])] = { [actionId]: { type: element["type"], value } };
  }
  return {
    type: "view_submission",
    ...common(workspace, overrides.user ?? view.user, overrides),
    trigger_id: triggerId,
    view: viewBody(workspace, view, state),
    response_urls: [],
  };
}

/** The fields of a slash command. */
export function commandFields(
  workspace: Workspace,
  command: { readonly command: string; readonly text: string; readonly user: string; readonly channel: string } & {
    readonly team?: string;
    readonly appId?: string;
  },
  triggerId: string,
  responseUrl: string,
): Readonly<Record<string, string>> {
  return {
    token: "a-token-that-nobody-should-use",
    team_id: command.team ?? workspace.teamId,
    team_domain: "paramedic-test",
    channel_id: command.channel,
    channel_name: workspace.channels.get(command.channel)?.name ?? "directmessage",
    user_id: command.user,
    user_name: workspace.users.get(command.user)?.name ?? command.user,
    command: command.command,
    text: command.text,
    api_app_id: command.appId ?? workspace.appId,
    is_enterprise_install: "false",
    response_url: responseUrl,
    trigger_id: triggerId,
  };
}

function common(
  workspace: Workspace,
  user: string,
  overrides: { readonly userTeam?: string; readonly team?: string; readonly appId?: string },
): Fields {
  const known = workspace.users.get(user);
  const name = known?.name ?? user;
  return {
    user: { id: user, username: name, name, team_id: overrides.userTeam ?? known?.teamId ?? workspace.teamId },
    api_app_id: overrides.appId ?? workspace.appId,
    token: "a-token-that-nobody-should-use",
    team: { id: overrides.team ?? workspace.teamId, domain: "paramedic-test" },
    enterprise: null,
    is_enterprise_install: false,
  };
}

function buttonOf(blocks: readonly Fields[], actionId: string): { block: Fields; element: Fields } | undefined {
  for (const block of blocks) {
    const elements = [...(Array.isArray(block["elements"]) ? block["elements"] : []), block["accessory"]];
    const element = elements.filter(isFields).find((one) => one["action_id"] === actionId);
    if (element) return { block, element };
  }
  return undefined;
}
