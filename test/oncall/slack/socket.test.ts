import { approveId, declineId } from "../../../src/oncall/slack/action-ids.ts";
import { type SlackHouse, startSlackHouse } from "../../support/slack-house.ts";
import { until } from "../../support/until.ts";

jest.setTimeout(60_000);

let house: SlackHouse;

const connected = () => until(() => house.slack.socket.connections() === 1, { what: "one connection" });

beforeEach(async () => {
  house = await startSlackHouse({ socket: true });
});
afterEach(async () => {
  await house.stop();
  expect(house.slack.socket.connections()).toBe(0);
});

test("clicks, windows and commands work over Socket Mode, and nothing is served over HTTP", async () => {
  await connected();
  expect(house.doors.router).toBeNull();
  const { approval, message } = await house.ask();
  const sent = await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  expect(sent.ms).toBeLessThan(1_000);
  await until(async () => (await house.approval(approval)).state === "approved");
  const other = await house.ask();
  await house.slack.click({ message: other.message, actionId: declineId, user: "U0LEAD" });
  const view = await until(() => house.slack.views[0]);
  await house.slack.submit(view, { reason: " " });
  expect(view.errors).toEqual({ reason: "Write a reason." });
  await house.slack.submit(view, { reason: "not now" });
  await until(async () => (await house.approval(other.approval)).state === "declined");
  await house.slack.command("runs", { user: "U0SCREEN" });
  await house.untilTold("U0SCREEN", "heal-ward");
});

test("an envelope that is delivered again counts once", async () => {
  await connected();
  const { run, approval, message } = await house.ask({ atLeast: 2 });
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  const [envelope] = house.slack.socket.envelopes;
  if (!envelope) throw new Error("nothing was sent");
  await house.slack.socket.redeliver(envelope, 0);
  await until(async () => (await house.approval(approval)).decisions.length > 0);
  await house.slack.socket.redeliver(envelope, 1);
  expect((await house.approval(approval)).decisions).toHaveLength(1);
  expect((await house.events(run)).map(({ type }) => type)).not.toContain("answer-refused");
});

test("a connection that Slack ends, or that breaks, is opened again", async () => {
  await connected();
  for (const end of [house.slack.socket.refresh, house.slack.socket.drop]) {
    const opened = house.slack.calls("apps.connections.open").length;
    end();
    await until(() => house.slack.calls("apps.connections.open").length > opened);
    await connected();
  }
  const { approval, message } = await house.ask();
  await house.slack.click({ message, actionId: approveId, user: "U0LEAD" });
  await until(async () => (await house.approval(approval)).state === "approved");
});

test.each([
  ["refuses the token", { error: "invalid_auth" }],
  ["is broken", { status: 503 }],
  ["takes no more calls", { retryAfter: 1 }],
  ["breaks the connection", "reset"],
  ["answers no JSON", "not-json"],
] as const)("where Slack %s, connecting is tried again and the process goes on", async (_case, failure) => {
  await connected();
  house.slack.fail("apps.connections.open", failure, 1);
  house.slack.socket.drop();
  await until(() => house.lines.some(({ message }) => message.startsWith("Slack is not connected to")));
  await connected();
  expect(JSON.stringify(house.lines)).not.toContain(house.slack.appToken);
});

test("the doors close while Slack does not answer", async () => {
  await connected();
  house.slack.fail("apps.connections.open", "hang");
  const calls = house.slack.calls("apps.connections.open").length;
  house.slack.socket.drop();
  await until(() => house.slack.calls("apps.connections.open").length > calls);
  const began = performance.now();
  await house.doors.stop();
  expect(performance.now() - began).toBeLessThan(4_000);
});
