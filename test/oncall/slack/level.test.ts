/** Escalation levels and `notify` entries in Slack, against the Slack double. */

import type { Happening } from "../../../src/domain/event.ts";
import type { Followed } from "../../../src/domain/followed.ts";
import { followLevel } from "../../../src/oncall/slack/level.ts";
import type { Follow, Message } from "../../../src/oncall/way.ts";
import { happened } from "../../support/builders.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import { asking, buttonsOf, callsOf, effects, ever, message, run, story, subject, textsOf } from "./told.ts";

let slack: SlackDouble;
let follow: Follow;

beforeEach(async () => {
  slack = await startSlackDouble();
  follow = followLevel({ call: callsOf(slack), channelOf: ({ policy }) => (policy === "gone" ? null : "#ops") });
});

afterEach(() => slack.stop());

const handedOver = message({ topic: "handed-over", policy: "database", level: 1 });

function later(of: Message, followed: Followed): Message {
  return { ...of, place: followed.place, shownSeq: followed.shownSeq };
}

function shown(): string {
  return textsOf(slack.messages()[0]?.blocks).join("\n");
}

const tried: readonly (number | Happening)[] = [
  1,
  happened.planned("d1", effects, "cancel"),
  2,
  happened.started("d1", "cancel"),
  happened.finished("cancel"),
  90,
  happened.checked(false),
  { type: "escalated", policy: "database", reason: "the measurement is not as expected after 2m" },
  { type: "ended", outcome: "ineffective", reason: "the measurement is not as expected after 2m" },
];
const taken: Happening = { type: "acknowledged", by: "slack:U024BE7LH" };
const over: Happening = { type: "recovered", reason: "the alert resolved and the checks hold" };

test("what is handed over says what is the matter, what was tried and what to do, with a button", async () => {
  const told = await follow(handedOver, subject(story(...tried)), ever);
  expect(told).toMatchObject({ ok: true, told: "Slack #ops", done: false, shownSeq: 7 });
  const [posted] = slack.messages();
  expect(posted?.text).toMatch(/^Needs you: database-overload on youtility3\. DatabaseOverload, critical/);
  expect(shown()).toMatch(
    /^Needs you: database-overload on youtility3\nParamedic could not heal this by itself.*\nThe run ended ineffective.*\nWhy: the measurement is not as expected after 2m\nDatabaseOverload, critical/,
  );
  expect(shown()).toContain(`\`\`\`\nparamedic ack ${run}\ncurl -X POST`);
  expect(shown()).toMatch(/Applies cancel, exactly as planned\n• cancel the query of pid 4242[\s\S]*Ended ineffective/);
  expect(shown()).toContain("Level 2 of the policy database.");
  expect(posted && buttonsOf(posted)).toEqual([["I have it", JSON.stringify({ run })]]);
});

test("what was found is told with what is the matter", async () => {
  await follow(handedOver, subject(story(happened.observed("look", "40 sessions wait"), ...tried)), ever);
  expect(shown()).toMatch(/Has fired for[^\n]*\n\*What was found:\*\n• 40 sessions wait\n/);
});

test("the same message says who has it and that it is over, and nothing else is ever posted", async () => {
  const told = await follow(handedOver, subject(story(...tried)), ever);
  const had = await follow(later(handedOver, told), subject(story(...tried, 120, taken)), ever);
  expect(had).toMatchObject({ ok: true, told: null, done: false });
  expect(shown()).toMatch(/^Somebody has it: .*\nNobody else needs to act\.\n\*<@U024BE7LH> has it\*, <!date/);
  expect(buttonsOf(slack.messages()[0] as never)).toEqual([]);
  const ended = await follow(later(handedOver, had), subject(story(...tried, 120, taken, 600, over)), ever);
  expect(ended).toMatchObject({ ok: true, told: null, done: true });
  expect(shown()).toMatch(/^Recovered: /);
  expect(slack.calls("chat.postMessage")).toHaveLength(1);
});

test("a story that only grows is no reason for an edit", async () => {
  const held = message({ topic: "held", policy: "database" });
  const escalated: Happening = {
    type: "escalated",
    policy: "database",
    topic: "held",
    reason: "it takes longer than 5m",
  };
  const told = await follow(held, subject(story(...tried.slice(0, 4), escalated)), ever);
  expect(shown()).toMatch(/^Not fixed yet: .*\n.*It goes on trying; please look\.\nWhy: it takes longer than 5m/);
  const more = await follow(
    later(held, told),
    subject(story(...tried.slice(0, 4), escalated, happened.finished())),
    ever,
  );
  expect(more).toMatchObject({ ok: true, shownSeq: 5 });
  expect(slack.calls("chat.update")).toEqual([]);
});

describe("an approval that could not be asked for", () => {
  const unasked = message({ topic: "approval-unasked", policy: "database" });
  const reason = "Slack did not take the question within 2m";
  const escalated: Happening = { type: "escalated", policy: "database", topic: "approval-unasked", reason };

  test("offers to show all where it had no room for every effect", async () => {
    const many = Array.from({ length: 100 }, (_, pid) => `cancel the query of pid ${pid}, which has run for hours`);
    await follow(unasked, subject(story(2, ...asking({ effects: many }), 300, escalated)), ever);
    expect(shown()).toMatch(/… and \d+ more effects/);
    expect(buttonsOf(slack.messages()[0] as never)).toEqual([
      ["Show all", JSON.stringify({ approval: "a1", digest: "d1", run })],
      ["I have it", JSON.stringify({ run })],
    ]);
  });

  test("comes with every effect and the lines that decide it", async () => {
    const changes = new Map([["cancel", { action: "postgres.cancel-queries", risk: "high" as const }]]);
    const about = { ...subject(story(2, ...asking(), 300, escalated)), changes, summary: "Cancel what holds it." };
    const told = await follow(unasked, about, ever);
    expect(told).toMatchObject({ ok: true, told: "Slack #ops", done: false });
    expect(shown()).toContain("*Risk: high.*\n*Answer before");
    expect(shown()).toContain("Level 1 of the policy database. Cancel what holds it.");
    expect(shown()).toContain("Has fired for 7 minutes, since");
    expect(shown()).toMatch(/^Needs an answer: cancel on youtility3\n.*Please decide\.\nWhy: Slack did not take/);
    expect(shown()).toContain(`• ${effects[0]}\n• ${effects[1]}`);
    expect(shown()).toMatch(/\*Answer before <!date/);
    for (const decision of ["approve", "decline"]) {
      expect(shown()).toContain(`paramedic ${decision} ${run}\ncurl -X POST`);
      expect(shown()).toContain(
        `-d '{"decision":"${decision}","digest":"d1"}' https://paramedic.example.net/api/v1/approvals/a1`,
      );
    }
    const anew = asking({ approval: "a2", digest: "d2" });
    const voided: Happening = { type: "approval-voided", step: "cancel", approval: "a1", reason: "the plan changed" };
    const history = [2, ...asking(), 300, escalated, voided, ...anew];
    const asked = await follow(later(unasked, told), subject(story(...history)), ever);
    expect(shown()).toContain('"digest":"d2"');
    expect(shown()).not.toContain('"digest":"d1"');
    const decided = [happened.approved({ approval: "a2", step: "cancel" }), happened.started("d2", "cancel")];
    await follow(later(unasked, asked), subject(story(...history, ...decided)), ever);
    expect(shown()).toMatch(/^No answer needed any more: cancel on youtility3/);
    expect(shown()).not.toContain("paramedic approve");
  });

  test("is not told once it is decided", async () => {
    const history = story(2, ...asking(), 300, escalated, happened.declined({ step: "cancel" }));
    expect(await follow(unasked, subject(history), ever)).toMatchObject({ ok: true, told: null, done: true });
    expect(slack.calls()).toEqual([]);
  });
});

test("an entry of notify tells of the alert without a button, and how the run ended", async () => {
  const notify = message({ topic: "notify", policy: "dba" });
  const told = await follow(notify, subject(story(...tried.slice(0, 3))), ever);
  expect(told).toMatchObject({ ok: true, told: "Slack #ops", done: false });
  expect(shown()).toMatch(
    /^Firing: DatabaseOverload on youtility3\nThis alert fires, and Paramedic runs its playbook\./,
  );
  expect(shown()).toContain("For the contact dba.");
  expect(buttonsOf(slack.messages()[0] as never)).toEqual([]);
  const fixed = await follow(later(notify, told), subject(story(...tried.slice(0, 4), happened.ended("fixed"))), ever);
  expect(fixed).toMatchObject({ ok: true, told: null, done: true });
  expect(shown()).toMatch(/^Fixed: DatabaseOverload on youtility3/);
});

test("nobody is told what is over already", async () => {
  const told = await follow(handedOver, subject(story(...tried, 600, over)), ever);
  expect(told).toMatchObject({ ok: true, told: null, done: true });
  expect(slack.calls()).toEqual([]);
});

test("a channel that the configuration does not have any more is a failure that says what to correct", async () => {
  const nowhere = await follow({ ...handedOver, policy: "gone" }, subject(story(...tried)), ever);
  expect(nowhere).toMatchObject({
    ok: false,
    retryable: false,
    reason: expect.stringContaining("correct `escalation`"),
  });
});

test("a throttled telling is tried again when Slack says, and a deleted one is left alone", async () => {
  slack.fail("chat.postMessage", { retryAfter: 12 }, 1);
  const failed = await follow(handedOver, subject(story(...tried)), ever);
  expect(failed).toMatchObject({ ok: false, retryable: true, retryAfterMs: 12_000, place: null, shownSeq: 0 });
  const told = await follow(later(handedOver, failed), subject(story(...tried)), ever);
  slack.deleteMessage(slack.messages()[0] as never);
  const left = await follow(later(handedOver, told), subject(story(...tried, 120, taken)), ever);
  expect(left).toMatchObject({ ok: true, done: true });
  expect(slack.messages()).toEqual([]);
});

test("where the message cannot be edited, a reply says who has it", async () => {
  const told = await follow(handedOver, subject(story(...tried)), ever);
  const [posted] = slack.messages();
  slack.closeEditWindow(posted as never);
  await follow(later(handedOver, told), subject(story(...tried, 120, taken)), ever);
  expect(slack.thread(posted as never).map(({ text }) => text)).toEqual([expect.stringMatching(/^Somebody has it/)]);
});
