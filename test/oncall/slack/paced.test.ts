/** After a 429 a channel, or a method, is left alone for as long as Slack asks, and nothing else, against the Slack double. */

import { paced } from "../../../src/oncall/slack/paced.ts";
import type { WebCall } from "../../../src/oncall/slack/web-call.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import { callsOf, ever } from "./told.ts";

let slack: SlackDouble;
let call: WebCall;
let nowMs = 0;

beforeEach(async () => {
  slack = await startSlackDouble();
  nowMs = 0;
  call = paced(callsOf(slack), () => nowMs);
});

afterEach(() => slack.stop());

const post = (channel: string) => call("chat.postMessage", { channel, text: "done" }, ever);
const posts = () => slack.calls("chat.postMessage").length;

test("nothing is posted before the time is up, by the channel's name or its id, and those that wait come back one by one", async () => {
  expect(await post("#ops")).toMatchObject({ ok: true });
  slack.fail("chat.postMessage", { retryAfter: 30 }, 1);
  expect(await post("#ops")).toMatchObject({ ok: false, error: "ratelimited", retryAfterMs: 30_000 });
  nowMs = 10_000;
  expect(await post(slack.ops)).toMatchObject({
    ok: false,
    error: "ratelimited",
    retryable: true,
    retryAfterMs: 21_000,
  });
  expect(await post("#ops")).toMatchObject({ ok: false, error: "ratelimited", retryAfterMs: 22_000 });
  expect(posts()).toBe(2);
  nowMs = 30_000;
  expect(await post("#ops")).toMatchObject({ ok: true });
  expect(posts()).toBe(3);
});

test("other channels and other calls do not wait", async () => {
  slack.addChannel("changes");
  slack.fail("chat.postMessage", { retryAfter: 30 }, 1);
  await post("#ops");
  expect(await post("#changes")).toMatchObject({ ok: true });
  expect(await call("auth.test", {}, ever)).toMatchObject({ ok: true });
});

test("another method is left alone as well, whatever it is called for", async () => {
  const first = await post("#ops");
  const ts = first.ok ? String(first.response["ts"]) : "";
  const edit = (channel: string) => call("chat.update", { channel, ts, text: "done" }, ever);
  slack.fail("chat.update", { retryAfter: 30 }, 1);
  expect(await edit(slack.ops)).toMatchObject({ ok: false, error: "ratelimited", retryAfterMs: 30_000 });
  nowMs = 20_000;
  expect(await edit("C0ANOTHER")).toMatchObject({ ok: false, error: "ratelimited", retryAfterMs: 11_000 });
  expect(slack.calls("chat.update")).toHaveLength(1);
  expect(await post("#ops")).toMatchObject({ ok: true });
  nowMs = 30_000;
  expect(await edit(slack.ops)).toMatchObject({ ok: true });
});

test("no answer silences a channel for longer than five minutes", async () => {
  slack.fail("chat.postMessage", { retryAfter: 86_400 }, 1);
  await post("#ops");
  nowMs = 300_000;
  expect(await post("#ops")).toMatchObject({ ok: true });
});
