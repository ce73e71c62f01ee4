/** Whose workspace it is: asked for until Slack says it, at once where somebody clicks. */

import { createOwnTeam } from "../../../src/oncall/slack/own-team.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import { until } from "../../support/until.ts";
import { callsOf } from "./told.ts";

let slack: SlackDouble;
const ended = new AbortController();
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

beforeEach(async () => {
  slack = await startSlackDouble();
});

afterEach(async () => {
  ended.abort();
  await slack.stop();
});

test("a click that comes after Slack was away asks at once, and does not wait for the next time", async () => {
  slack.fail("auth.test", { status: 503 });
  const team = createOwnTeam(callsOf(slack), log);
  const asking = team.ask(ended.signal);
  // The pauses are now 4 seconds and more.
  await until(() => slack.calls("auth.test").length === 3);
  expect(await team.known(100)).toBeNull();
  slack.fail("auth.test", null);
  expect(await team.known(1_000)).toMatchObject({ id: slack.teamId });
  await asking;
});
