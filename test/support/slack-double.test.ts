/** That the Slack double is as strict as Slack, and that Bolt takes what it sends for Slack's. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { App, SocketModeReceiver, verifySlackRequest } from "@slack/bolt";
import { cleaningUp } from "./clean-up.ts";
import { type SlackDouble, startSlackDouble } from "./slack-double.ts";
import { buttonsOf, liveMarkup, shownText } from "./slack-double-text.ts";
import { until } from "./until.ts";

const undo = cleaningUp();
let slack: SlackDouble;

beforeEach(async () => {
  slack = await startSlackDouble();
  undo(() => slack.stop());
  slack.addUser("UALICE");
});

async function call(method: string, args: object, token = slack.botToken): Promise<Record<string, unknown>> {
  const response = await fetch(`${slack.apiUrl}${method}`, {
    method: "POST",
    headers: { "content-type": "application/json; charset=utf-8", authorization: `Bearer ${token}` },
    body: JSON.stringify(args),
  });
  return (await response.json()) as Record<string, unknown>;
}

const plain = (text: string) => ({ type: "plain_text", text });
const mrkdwn = (text: string) => ({ type: "mrkdwn", text });
const section = (text: object) => ({ type: "section", text });
const button = (given: object = {}) => ({ type: "button", action_id: "approve", text: plain("Approve"), ...given });
const actions = (...elements: object[]) => ({ type: "actions", elements });
const many = <T>(count: number, one: T) => Array.from({ length: count }, () => one);

/** A message with one button. */
async function posted() {
  await call("chat.postMessage", { channel: "#ops", text: "May I?", blocks: [actions(button({ value: "run-1" }))] });
  const message = slack.messages().at(-1);
  if (!message) throw new Error("nothing was posted");
  return message;
}

test.each<[string, readonly object[], string | null]>([
  ["a section of 3000 characters", [section(mrkdwn("x".repeat(3_000)))], null],
  ["a section of 3001", [section(mrkdwn("x".repeat(3_001)))], "invalid_blocks"],
  ["an empty text", [section(mrkdwn(""))], "invalid_blocks"],
  ["50 blocks", many(50, { type: "divider" }), null],
  ["51 blocks", many(51, { type: "divider" }), "invalid_blocks"],
  ["a header in markup", [{ type: "header", text: mrkdwn("*a*") }], "invalid_blocks"],
  ["a header of 151", [{ type: "header", text: plain("x".repeat(151)) }], "invalid_blocks"],
  ["11 elements of context", [{ type: "context", elements: many(11, mrkdwn("a")) }], "invalid_blocks"],
  ["11 fields", [{ type: "section", fields: many(11, mrkdwn("a")) }], "invalid_blocks"],
  ["a field of 2001", [{ type: "section", fields: [mrkdwn("x".repeat(2_001))] }], "invalid_blocks"],
  ["a button text of 76", [actions(button({ text: plain("x".repeat(76)) }))], "invalid_blocks"],
  ["a button in markup", [actions(button({ text: mrkdwn("a") }))], "invalid_blocks"],
  ["a value of 2000", [actions(button({ value: "x".repeat(2_000) }))], null],
  ["a value of 2001", [actions(button({ value: "x".repeat(2_001) }))], "invalid_blocks"],
  ["an action id of 256", [actions(button({ action_id: "x".repeat(256) }))], "invalid_blocks"],
  ["one action id twice", [actions(button(), button())], "invalid_blocks"],
  ["one block id twice", many(2, { type: "divider", block_id: "a" }), "invalid_blocks"],
  ["a block id of 256", [{ type: "divider", block_id: "x".repeat(256) }], "invalid_blocks"],
  ["a style of its own", [actions(button({ style: "green" }))], "invalid_blocks"],
  ["an unknown block", [{ type: "fancy" }], "invalid_blocks"],
  ["an unknown field", [{ type: "divider", text: "a" }], "invalid_blocks"],
  ["emoji in markup", [section({ ...mrkdwn("a"), emoji: true })], "invalid_blocks"],
  ["11,000 characters in all", many(4, section(mrkdwn("x".repeat(2_750)))), null],
  ["15,000 characters in all", many(5, section(mrkdwn("x".repeat(3_000)))), "msg_blocks_too_long"],
])("blocks are judged as Slack does: %s", async (_, blocks, error) => {
  const answer = await call("chat.postMessage", { channel: "#ops", text: "a", blocks });
  expect(answer["error"] ?? null).toBe(error);
  expect(slack.messages()).toHaveLength(error === null ? 1 : 0);
});

test("calls are refused as Slack refuses them", async () => {
  const message = await posted();
  const { ts } = message;
  slack.addChannel("secret", { isPrivate: true, appIsIn: false });
  slack.addChannel("quiet", { members: new Set(["UBOB"]) });
  const errors = [
    await call("auth.test", {}, "xoxb-else"),
    await call("apps.connections.open", {}),
    await call("chat.postMessage", { channel: "#secret", text: "a" }),
    await call("chat.postMessage", { channel: "#ops" }),
    await call("chat.postMessage", { channel: "#ops", text: "a", thread_ts: "yesterday" }),
    await call("chat.update", { channel: "#ops", ts, text: "a" }),
    await call("chat.update", { channel: slack.ops, ts: "1.000001", text: "a" }),
    await call("chat.update", { channel: slack.ops, ts, text: "x".repeat(4_001) }),
    await call("chat.postEphemeral", { channel: "#quiet", user: "UALICE", text: "a" }),
    await call("usergroups.users.list", { usergroup: "S1" }),
    await call("views.open", { trigger_id: "1.2.3", view: {} }),
  ].map((answer) => answer["error"]);
  expect(errors).toEqual([
    "invalid_auth",
    "not_allowed_token_type",
    "channel_not_found",
    "no_text",
    "invalid_thread_ts",
    "channel_not_found",
    "message_not_found",
    "msg_too_long",
    "user_not_in_channel",
    "no_such_subteam",
    "invalid_trigger_id",
  ]);
  slack.closeEditWindow(message);
  expect(await call("chat.update", { channel: slack.ops, ts, text: "a" })).toMatchObject({
    error: "edit_window_closed",
  });
  slack.channel("ops").archived = true;
  expect(await call("chat.postMessage", { channel: "#ops", text: "a" })).toMatchObject({ error: "is_archived" });
});

test("an update with text and no blocks removes the blocks, and what the message was is kept", async () => {
  const message = await posted();
  await call("chat.update", { channel: slack.ops, ts: message.ts, text: "Approved" });
  expect(message).toMatchObject({ text: "Approved", blocks: [], edits: 1, earlier: [{ text: "May I?" }] });
});

test("replies are in their thread, and those to a deleted message appear in the channel", async () => {
  const message = await posted();
  const reply = { channel: "#ops", text: "done", thread_ts: message.ts };
  expect(await call("chat.postMessage", reply)).toMatchObject({ message: { thread_ts: message.ts } });
  await call("chat.postMessage", { ...reply, text: "all done", reply_broadcast: true });
  expect(slack.thread(message).map(({ text }) => text)).toEqual(["done", "all done"]);
  expect(slack.messages().map(({ text }) => text)).toEqual(["May I?", "all done"]);
  slack.deleteMessage(message);
  const late = (await call("chat.postMessage", reply)) as { readonly message: object };
  expect(late.message).not.toHaveProperty("thread_ts");
});

test("a failure is for one method and as many calls as asked, and one whose answer is lost is done", async () => {
  slack.fail("chat.postMessage", { error: "fatal_error" }, 2);
  const post = () => call("chat.postMessage", { channel: "#ops", text: "a" }).catch(() => "lost");
  expect([await post(), await call("auth.test", {}), await post(), await post()]).toMatchObject([
    { error: "fatal_error" },
    { ok: true },
    { error: "fatal_error" },
    { ok: true },
  ]);
  slack.fail("*", "answer-lost", 1);
  expect(await post()).toBe("lost");
  expect(slack.messages()).toHaveLength(2);
});

test("what it sends is signed so that Bolt takes it, and each forgery is refused", async () => {
  const received: { headers: Record<string, string | undefined>; body: string }[] = [];
  const app = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    received.push({ headers: request.headers as Record<string, string>, body: Buffer.concat(pieces).toString() });
    response.end();
  });
  await new Promise<void>((done) => {
    app.listen(0, "127.0.0.1", done);
  });
  undo(() => app.close());
  slack.sendTo(`http://127.0.0.1:${(app.address() as AddressInfo).port}/slack/events`);
  const message = await posted();
  const click = { message, actionId: "approve", user: "UALICE" };
  const forgeries = [
    { secret: "another" },
    { secondsAgo: 301 },
    { version: "v1" },
    { signature: "v0=00" },
    { alter: (body: string) => `${body}x` },
    { timestamp: String(Math.floor(Date.now() / 1_000) - 5) },
  ];
  const sent = await slack.click(click);
  for (const forge of forgeries) await slack.click({ ...click, forge });
  await slack.resend(sent);
  const taken = received.map(({ headers, body }) => {
    const timestamp = Number(headers["x-slack-request-timestamp"]);
    const signature = headers["x-slack-signature"] ?? "";
    const { signingSecret } = slack;
    try {
      const signed = { "x-slack-signature": signature, "x-slack-request-timestamp": timestamp };
      verifySlackRequest({ signingSecret, body, headers: signed });
      return true;
    } catch {
      return false;
    }
  });
  expect(taken).toEqual([true, ...forgeries.map(() => false), true]);
  expect(received[0]?.body).toBe(received.at(-1)?.body);
  const payload = JSON.parse(new URLSearchParams(received[0]?.body).get("payload") ?? "");
  expect(payload).toMatchObject({
    user: { id: "UALICE", team_id: slack.teamId },
    api_app_id: slack.appId,
    container: { message_ts: message.ts, channel_id: slack.ops },
    actions: [{ action_id: "approve", value: "run-1" }],
  });
});

test("Bolt in Socket Mode gets clicks, commands and submissions, acknowledges them, and comes back when dropped", async () => {
  const seen: string[] = [];
  const app = await socketApp();
  app.action("approve", async ({ ack, body, client }) => {
    await ack();
    seen.push("click");
    await client.views.open({ trigger_id: (body as { trigger_id: string }).trigger_id, view: modal });
  });
  app.view("decline", async ({ ack, view }) => {
    const { why } = view.state.values["reason"] ?? {};
    if (why?.value === "no") await ack({ response_action: "errors", errors: { reason: "Say more." } });
    else await ack();
    seen.push(`submitted ${why?.value}`);
  });
  app.command("/paramedic", async ({ ack, command, respond }) => {
    await ack(`You typed ${command.text}`);
    await respond("later");
    seen.push("command");
  });
  slack.sendTo("socket");
  await until(() => slack.socket.connections() === 1);

  await slack.click({ message: await posted(), actionId: "approve", user: "UALICE" });
  const [view] = await until(() => slack.views.length > 0 && slack.views);
  if (!view) throw new Error("no window was opened");
  await slack.submit(view, { why: "no" });
  expect(view).toMatchObject({ state: "open", errors: { reason: "Say more." } });
  await slack.submit(view, { why: "too risky" });
  expect(view.state).toBe("submitted");
  await slack.command("runs", { user: "UALICE" });
  await until(() => seen.length === 4);
  expect(slack.ephemerals.map(({ by, text }) => [by, text])).toEqual([
    ["command", "You typed runs"],
    ["response_url", "later"],
  ]);

  const [envelope] = slack.socket.envelopes;
  if (!envelope) throw new Error("no envelope was sent");
  await slack.socket.redeliver(envelope);
  await until(() => seen.filter((one) => one === "click").length === 2);
  slack.socket.drop();
  await until(() => slack.socket.connections() === 0);
  await until(() => slack.socket.connections() === 1);
  await slack.command("help", { user: "UALICE" });
});

test("a window opens only for a trigger that is fresh and unused", async () => {
  const triggers: string[] = [];
  const app = await socketApp();
  app.action("approve", async ({ ack, body }) => {
    await ack();
    triggers.push((body as { trigger_id: string }).trigger_id);
  });
  slack.sendTo("socket");
  await until(() => slack.socket.connections() === 1);
  const message = await posted();
  await slack.click({ message, actionId: "approve", user: "UALICE" });
  slack.setTriggerLife(0);
  await slack.click({ message, actionId: "approve", user: "UALICE" });
  await until(() => triggers.length === 2);
  const open = (trigger_id: unknown, view: object = modal) => call("views.open", { trigger_id, view });
  expect(await open(triggers[0], { ...modal, title: plain("x".repeat(25)) })).toMatchObject({
    error: "invalid_arguments",
  });
  expect(await open(triggers[0], { ...modal, private_metadata: "x".repeat(3_001) })).toMatchObject({ ok: false });
  expect(await open(triggers[0])).toMatchObject({ ok: true });
  expect(await open(triggers[0])).toMatchObject({ error: "exchanged_trigger_id" });
  expect(await open(triggers[1])).toMatchObject({ error: "expired_trigger_id" });
});

test("what is live in a message and what people read of it can be told apart", () => {
  const blocks = [
    section(mrkdwn("&lt;!channel&gt; <!here> <https://evil|Approve> https://raw.example @channel &amp;")),
    section(plain("<!channel> https://raw.example")),
    section({ ...mrkdwn("https://verbatim.example"), verbatim: true }),
    actions(button({ value: "v" })),
  ];
  const message = { text: "<@U1>", blocks };
  expect(liveMarkup(message)).toEqual([
    "<!here>",
    "<https://evil|Approve>",
    "https://raw.example",
    "@channel",
    "<@U1>",
  ]);
  expect(shownText(message)).toContain("<!channel> <!here>");
  expect([...buttonsOf(message)]).toEqual([["approve", { text: "Approve", value: "v" }]]);
});

const modal = {
  type: "modal" as const,
  callback_id: "decline",
  title: { type: "plain_text" as const, text: "Decline" },
  submit: { type: "plain_text" as const, text: "Decline" },
  blocks: [
    {
      type: "input" as const,
      block_id: "reason",
      label: { type: "plain_text" as const, text: "Why?" },
      element: { type: "plain_text_input" as const, action_id: "why" },
    },
  ],
};

async function socketApp(): Promise<App> {
  const quiet = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
    setLevel: () => undefined,
    getLevel: () => "error" as never,
    setName: () => undefined,
  };
  const clientOptions = { slackApiUrl: slack.apiUrl, retryConfig: { retries: 0 } };
  // The receiver takes the options of its own client only from here; without them it asks slack.com.
  const installerOptions = { clientOptions };
  const { appToken } = slack;
  const receiver = new SocketModeReceiver({ appToken, logger: quiet, clientPingTimeout: 200, installerOptions });
  const app = new App({
    token: slack.botToken,
    receiver,
    logger: quiet,
    clientOptions,
  });
  await app.start();
  undo(async () => {
    await app.stop();
    await until(() => slack.socket.connections() === 0);
  });
  return app;
}
