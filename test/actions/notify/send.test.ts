/** Saying something in Slack, against the Slack double. */

import { notifySend } from "../../../src/actions/notify/send.ts";
import { createSender } from "../../../src/oncall/slack/send.ts";
import { createSlackWeb } from "../../../src/oncall/slack/web.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import { liveMarkup, shownText } from "../../support/slack-double-text.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

let slack: SlackDouble;

beforeEach(async () => {
  slack = await startSlackDouble();
  slack.addChannel("dev");
});

afterEach(() => slack.stop());

function sending(apiUrl = slack.apiUrl) {
  const call = createSlackWeb({ token: slack.botToken, apiUrl, timeoutMs: 2_000 });
  return notifySend({ channels: ["#ops", "#dev"], ...createSender(call) });
}

const said = () => slack.messages().map(({ channel, text }) => `${channel} ${text}`);
const context = () => contextFor(null, new AbortController().signal, []);

async function planned(input: object) {
  const action = sending();
  const read = action.input.safeParse(input);
  if (!read.success) throw new Error(JSON.stringify(read.error.issues));
  return action.plan(read.data, context());
}

describeContract("notify.send", {
  input: { text: "The maintenance begins.", channel: "#dev" },
  hostile: [
    { text: "" },
    { text: "\ud800" },
    { text: "x".repeat(2_001) },
    { text: "x", channel: 7 },
    { text: "x", to: "y" },
  ],
  healthy: () => ({ action: sending(), target: null }),
  at: (port) => ({ action: sending(`http://127.0.0.1:${port}/api/`), target: null }),
  arrange: async () => {},
  state: async () => slack.messages("dev"),
  midway: {
    hold: async () => {
      const before = slack.calls().length;
      slack.fail("chat.postMessage", "hang");
      return {
        inside: async () => slack.calls().length > before,
        release: async () => slack.fail("chat.postMessage", null),
      };
    },
    told: "unchanged",
  },
});

test("lines stay lines, each of them safe", async () => {
  const plan = await planned({ text: "one ▁▂█\n<!here>\u202e two" });
  if (plan.status !== "planned") throw new Error(JSON.stringify(plan));
  await sending().apply(plan.plan, context());
  const blocks = slack.messages()[0]?.blocks ?? [];
  expect(shownText({ text: "", blocks })).toBe("one ▁▂█\n<!here> two");
  expect(liveMarkup({ text: "", blocks })).toEqual([]);
});

test("what is planned is said in the channel, once, word for word", async () => {
  const plan = await planned({ text: "<!channel> *read* <https://evil.example|this>" });
  if (plan.status !== "planned") throw new Error(JSON.stringify(plan));
  expect(plan.effects).toEqual(["say in #ops: <!channel> *read* <https://evil.example|this>"]);
  expect(said()).toEqual([]);
  expect(await sending().apply(plan.plan, context())).toEqual({ status: "done", result: { channel: "#ops" } });
  expect(slack.messages()).toHaveLength(1);
  const [message] = slack.messages();
  expect(liveMarkup({ text: "", blocks: message?.blocks ?? [] })).toEqual([]);
  expect(shownText({ text: "", blocks: message?.blocks ?? [] })).toBe(plan.plan.text);
});

test("a channel that the configuration does not name is refused, with those that it names", async () => {
  expect(await planned({ text: "hello", channel: "#general" })).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining("#ops, #dev"),
  });
});

test("without Slack it says what to add", async () => {
  const answer = await notifySend(null).plan({ text: "hello" }, context());
  expect(answer).toMatchObject({ status: "failed", reason: expect.stringContaining("section `slack`") });
});

test("an archived channel is a failure that says what to do", async () => {
  slack.channel("#ops").archived = true;
  const plan = await planned({ text: "hello" });
  if (plan.status !== "planned") throw new Error(JSON.stringify(plan));
  expect(await sending().apply(plan.plan, context())).toMatchObject({ status: "failed", retryable: false });
});
