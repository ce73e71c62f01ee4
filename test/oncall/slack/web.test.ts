/** What calls of Slack's Web API promise, against the double over real HTTP. */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createSlackWeb } from "../../../src/oncall/slack/web.ts";
import { cleaningUp } from "../../support/clean-up.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import type { SlackFailure } from "../../support/slack-double-http.ts";
import { until } from "../../support/until.ts";

const undo = cleaningUp();
const never = new AbortController().signal;
let slack: SlackDouble;

beforeEach(async () => {
  slack = await startSlackDouble();
  undo(() => slack.stop());
});

function webOf(timeoutMs = 5_000) {
  return createSlackWeb({ token: slack.botToken, apiUrl: slack.apiUrl.replace(/\/$/, ""), timeoutMs });
}

const hello = { channel: "#ops", text: "hello" };

test("a call carries the token and structured arguments, and brings Slack's answer", async () => {
  const blocks = [{ type: "section", text: { type: "plain_text", text: "5 < 6 & é" } }];
  const answer = await webOf()("chat.postMessage", { ...hello, blocks }, never);
  const [message] = slack.messages();
  expect(answer).toMatchObject({ ok: true, response: { channel: slack.ops, ts: message?.ts } });
  expect(message?.blocks).toMatchObject(blocks);
});

test.each<[SlackFailure, object]>([
  [{ error: "internal_error" }, { error: "internal_error", retryable: true }],
  [{ error: "fatal_error" }, { error: "fatal_error", retryable: true }],
  [{ error: "service_unavailable" }, { error: "service_unavailable", retryable: true }],
  [{ error: "ratelimited" }, { error: "ratelimited", retryable: true }],
  [{ retryAfter: 30 }, { error: "ratelimited", retryable: true, retryAfterMs: 30_000 }],
  [{ status: 429 }, { error: "ratelimited", retryable: true }],
  [{ status: 503 }, { error: "unreachable", retryable: true, reason: expect.stringContaining("503") }],
  [{ status: 404 }, { error: "unreadable", retryable: false, reason: expect.stringContaining("slack.apiUrl") }],
  ["reset", { error: "unreachable", retryable: true }],
  ["not-json", { error: "unreadable", retryable: true, reason: expect.stringContaining("slack.apiUrl") }],
  [{ error: "is_archived" }, { error: "is_archived", retryable: false, reason: expect.stringContaining("archived") }],
  [{ error: "xoxb-<quoted>" }, { error: "unreadable", reason: expect.not.stringContaining("quoted") }],
  [{ error: "something_new" }, { error: "something_new", retryable: false }],
])("%j becomes a reason, after one request", async (failure, expected) => {
  slack.fail("chat.postMessage", failure);
  const answer = await webOf()("chat.postMessage", hello, never);
  expect(answer).toMatchObject({ ok: false, ...expected });
  expect(slack.calls()).toHaveLength(1);
});

test("what somebody has to do is said: invite the app, correct the channel, add the scope, give the right token", async () => {
  const web = webOf();
  slack.channel("ops").appIsIn = false;
  slack.scopes.delete("usergroups:read");
  slack.addChannel("old", { archived: true });
  const stranger = createSlackWeb({ token: "xoxb-of-nobody", apiUrl: slack.apiUrl });
  const reasons = [
    await web("chat.postMessage", hello, never),
    await web("chat.postMessage", { ...hello, channel: "#nowhere" }, never),
    await web("chat.postMessage", { ...hello, channel: "#old" }, never),
    await web("usergroups.users.list", { usergroup: "S1" }, never),
    await stranger("auth.test", {}, never),
  ].map((answer) => (answer.ok ? null : [answer.retryable, answer.reason]));
  expect(reasons).toEqual([
    [false, expect.stringMatching(/in #ops \(not_in_channel\).*\/invite/)],
    [false, expect.stringMatching(/in #nowhere \(channel_not_found\).*correct the channel/)],
    [false, expect.stringMatching(/in #old \(is_archived\).*unarchive/)],
    [false, expect.stringMatching(/missing_scope.*usergroups:read.*install the app again/)],
    [false, expect.stringMatching(/invalid_auth.*slack\.botToken/)],
  ]);
  expect(JSON.stringify(reasons)).not.toContain("xoxb-of-nobody");
});

test.each<SlackFailure>(["hang", "hang-in-body"])(
  "a server that answers with a %s is left at the deadline",
  async (failure) => {
    slack.fail("*", failure);
    const began = performance.now();
    const answer = await webOf(200)("auth.test", {}, never);
    expect(answer).toMatchObject({ ok: false, error: "late", retryable: true });
    expect(performance.now() - began).toBeLessThan(2_000);
    await until(() => slack.connections() === 0, { what: "the request to be ended" });
  },
);

test("an aborted signal ends the request at once, and one that is aborted before sends none", async () => {
  slack.fail("*", "hang");
  const stop = new AbortController();
  const asked = webOf()("auth.test", {}, stop.signal);
  await until(() => slack.calls().length === 1);
  stop.abort();
  expect(await asked).toMatchObject({ ok: false, error: "stopped", retryable: true });
  await until(() => slack.connections() === 0, { what: "the request to be ended" });
  expect(await webOf()("auth.test", {}, stop.signal)).toMatchObject({ ok: false, error: "stopped" });
  expect(slack.calls()).toHaveLength(1);
});

test("where nobody listens is said with the cause, and a redirect is not followed with the token", async () => {
  const followed: string[] = [];
  const other = await listening(
    createServer((request, response) => {
      followed.push(String(request.headers.authorization));
      response.end("{}");
    }),
  );
  const moved = await listening(
    createServer((_, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${other}/api/auth.test` }).end();
    }),
  );
  const redirected = createSlackWeb({ token: "xoxb-1", apiUrl: `http://127.0.0.1:${moved}/api/` });
  expect(await redirected("auth.test", {}, never)).toMatchObject({ ok: false, error: "unreachable", retryable: false });
  expect(followed).toEqual([]);

  const closed = await startSlackDouble();
  await closed.stop();
  const nobody = createSlackWeb({ token: "xoxb-1", apiUrl: closed.apiUrl });
  const answer = await nobody("auth.test", {}, never);
  expect(answer).toMatchObject({ ok: false, error: "unreachable", retryable: true });
  expect(!answer.ok && answer.reason).toMatch(/ECONNREFUSED/);
});

test("nothing is written to the console", async () => {
  const said = jest.spyOn(process.stdout, "write");
  const complained = jest.spyOn(console, "warn");
  undo(() => jest.restoreAllMocks());
  for (const failure of [{ status: 503 }, { retryAfter: 1 }, { error: "invalid_blocks" }, "reset"] as const) {
    slack.fail("*", failure, 1);
    await webOf()("chat.postMessage", { channel: "#ops", blocks: [] }, never);
  }
  expect(said).not.toHaveBeenCalled();
  expect(complained).not.toHaveBeenCalled();
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((done) => {
    server.listen(0, "127.0.0.1", done);
  });
  undo(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
