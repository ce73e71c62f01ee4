/** A report in Slack, against the Slack double. */

import { followReport } from "../../../src/oncall/slack/report.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import { liveMarkup } from "../../support/slack-double-text.ts";
import { run } from "../notices.ts";
import { reportedBy, reportMessage, reportOf } from "../reports.ts";
import { callsOf, ever, textsOf } from "./told.ts";

let slack: SlackDouble;

beforeEach(async () => {
  slack = await startSlackDouble();
});

afterEach(() => slack.stop());

const tell = (points: readonly string[], over = {}) =>
  followReport({ call: callsOf(slack), channel: "#ops" })(
    reportMessage({ way: "slack", ...over }),
    reportedBy(reportOf({ points })),
    ever,
  );

test("its sentences are said once, with a title, and with where the rest is", async () => {
  expect(await tell(["One.", "Two.", "Three."])).toMatchObject({ ok: true, told: "Slack #ops", done: true });
  expect(slack.messages()).toHaveLength(1);
  const [message] = slack.messages();
  expect(textsOf(message?.blocks)).toEqual([
    "Weekly report of youtility3",
    "• One.\n• Two.\n• Three.",
    `<https://paramedic.example.net/api/v1/runs/${run}|Read the run> or \`paramedic show ${run}\``,
  ]);
  expect(message?.text).toBe("Weekly report of youtility3: One. Two. Three.");
});

test("what was measured is said literally: no mention, link or markup in it is live", async () => {
  await tell(["<!channel> *bold* <https://evil.example|this>\n<@U0LEAD>"]);
  const [message] = slack.messages();
  const [, points] = message?.blocks ?? [];
  expect(liveMarkup({ text: "", blocks: points ? [points] : [] })).toEqual([]);
  expect(textsOf(message?.blocks)[1]).toBe("• <!channel> *bold* <https://evil.example|this> <@U0LEAD>");
});

test("an archived channel is a failure, and so is a run without such a report", async () => {
  slack.channel("#ops").archived = true;
  expect(await tell(["One."])).toMatchObject({ ok: false, reason: expect.stringContaining("archived") });
  expect(await tell(["One."], { about: "other" })).toMatchObject({ ok: false, retryable: false });
});
