/** A run's own message in Slack, from the question to the end, against the Slack double. */

import type { Happening, RunEvent } from "../../../src/domain/event.ts";
import type { Followed } from "../../../src/domain/followed.ts";
import { followRecord } from "../../../src/oncall/slack/record.ts";
import type { Follow } from "../../../src/oncall/way.ts";
import { happened } from "../../support/builders.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import {
  asking,
  buttonsOf,
  callsOf,
  effects,
  ever,
  kept,
  markupOf,
  message,
  run,
  story,
  storyOf,
  subject,
  textsOf,
} from "./told.ts";

let slack: SlackDouble;
let follow: Follow;

beforeEach(async () => {
  slack = await startSlackDouble();
  follow = followRecord({ call: callsOf(slack), channel: "#ops" });
});

afterEach(() => slack.stop());

/** Brings the message up to date with this history, after what was told before. */
function tell(history: readonly RunEvent[], before: Followed | null = null): Promise<Followed> {
  return follow(before ? kept(before) : message(), subject(history), ever);
}

const question = [2, ...asking()] as const;
const approved = happened.approved({ by: "slack:U024BE7LH", step: "cancel" });
const carriedOut: readonly (number | Happening)[] = [
  happened.planned("d1", effects, "cancel"),
  61,
  happened.started("d1", "cancel"),
  62,
  happened.finished("cancel"),
  90,
  happened.checked(false),
  100,
  happened.checked(false),
  110,
  happened.checked(true),
  happened.ended("fixed"),
];

/** The text of the run's message, from the top. */
function shown(index = 0): string {
  return textsOf(slack.messages()[index]?.blocks).join("\n");
}

function replies(): readonly string[] {
  const [root] = slack.messages();
  return root ? slack.thread(root).map((reply) => textsOf(reply.blocks).join("\n")) : [];
}

test("the question says what fired, on what, what it will do and until when, and can be answered", async () => {
  const asked = await tell(story(...question));
  expect(asked).toMatchObject({ ok: true, told: null, done: false, shownSeq: 3 });
  expect(asked.place).toMatchObject({ channel: slack.ops, appId: slack.appId, asked: "a1" });
  expect(slack.messages()).toHaveLength(1);
  const [posted] = slack.messages();
  expect(asked.place?.["ts"]).toBe(posted?.ts);
  expect(textsOf(posted?.blocks)).toEqual([
    "Approve cancel on youtility3?",
    "DatabaseOverload, critical, db-1:9187: The database of youtility3 is busy",
    "Has fired for 2 minutes, since <!date^1767607080^{date_short_pretty} at {time}|2026-01-05 09:58 UTC>.",
    "*Answer before <!date^1767609000^{date_short_pretty} at {time}|2026-01-05 10:30 UTC>*; no answer means no.\nNeeds 1 approval.",
    "*What it will do* (2 effects):",
    `• ${effects[0]}\n• ${effects[1]}`,
    "Approve",
    "Decline",
    "Playbook database-overload, step cancel. Asks because its risk is high.",
    `<https://paramedic.example.net/api/v1/runs/${run}|Read the run> or \`paramedic show ${run}\``,
  ]);
  const value = JSON.stringify({ approval: "a1", digest: "d1", run });
  expect(posted && buttonsOf(posted)).toEqual([
    ["Approve", value],
    ["Decline", value],
  ]);
  expect(posted?.text).toContain("Approve cancel on youtility3? DatabaseOverload, critical");
  expect(replies()).toEqual([]);
});

test("a question that is taken again after whoever asked was killed is asked again, and the last one is the run's message", async () => {
  await tell(story(...question));
  const again = await follow(message({ fence: 2 }), subject(story(...question)), ever);
  expect(slack.messages()).toHaveLength(2);
  expect(again.place).toMatchObject({
    asked: "a1",
    ts: slack
      .messages()
      .map(({ ts }) => ts)
      .sort()
      .at(-1),
  });
});

test("what was found stands between what fired and what it will do, and stays in the record", async () => {
  const found = [happened.observed("look", "95 % take <!channel> 1200 ms"), happened.observed("cache", "40 % hit")];
  const asked = await tell(story(...found, ...question));
  const lines = "*What was found:*\n• 95 % take <!channel> 1200 ms\n• 40 % hit";
  expect(shown()).toMatch(/Has fired for [^\n]*\n\*What was found:\*/);
  expect(shown()).toContain(`${lines}\n*Answer before`);
  expect(markupOf(slack.messages()[0]?.blocks).join()).not.toContain("1200 ms");
  await tell(story(...found, ...question, 60, approved, ...carriedOut), asked);
  expect(shown()).toMatch(/^Fixed: /);
  expect(shown()).toContain(lines);
});

test("the same message becomes the record, and its thread tells the story in one reply for each call", async () => {
  const asked = await tell(story(...question));
  const decided = await tell(story(...question, 60, approved), asked);
  expect(shown()).toMatch(/^Approved: cancel on youtility3\n\*Approved\* by <@U024BE7LH>, /);
  expect(buttonsOf(slack.messages()[0] as never)).toEqual([]);
  const history = story(...question, 60, approved, ...carriedOut);
  const ended = await tell(history, decided);
  expect(ended).toMatchObject({ ok: true, done: true, shownSeq: history.length });
  expect(slack.messages()).toHaveLength(1);
  expect(shown()).toMatch(
    /^Fixed: database-overload on youtility3\n\*Ended fixed\*.*\nthe end\n\*Approved\* by <@U024BE7LH>/,
  );
  expect(shown()).toContain(effects[1] as string);
  const [first, second, ...more] = replies();
  expect(first).toMatch(/<@U024BE7LH>\napproved cancel$/);
  expect(second).toMatch(/Applies cancel, exactly as planned\n• cancel the query of pid 4242/);
  expect(second).toMatch(
    /Applied cancel, 2 effects: changed 1[\s\S]*Measured: not as expected[\s\S]*Measured: as expected[\s\S]*Ended fixed: the end$/,
  );
  // The second of two equal measurements is not told.
  expect(second?.match(/not as expected/g)).toHaveLength(1);
  expect(more).toEqual([]);
});

test("the question says how risky the step is and what the playbook is for", async () => {
  const about = {
    ...subject(story(...question)),
    summary: "Cancel the queries that hold the database.",
    changes: new Map([["cancel", { action: "postgres.cancel-queries", risk: "irreversible" as const }]]),
  };
  await follow(message(), about, ever);
  expect(shown()).toContain("*Risk: it cannot be undone.*\n*Answer before");
  expect(shown()).toContain(
    "step cancel (postgres.cancel-queries, cannot be undone). Asks because its risk is high. Cancel the queries that hold",
  );
});

test("for how long it fired is counted until the alert resolved", async () => {
  await tell(story(...question, 700, happened.resolved(), 900, happened.ended("resolved")));
  expect(shown()).toContain("\nFired for 2 minutes, since");
});

test("the thread leaves out who was told, and results that take more than a line", async () => {
  const asked = await tell(story(...question));
  const told: Happening = { type: "told", way: "email", level: 1, to: "ops@example.net", topic: "handed-over" };
  const result = { rows: "x".repeat(300) };
  const applied: Happening = { type: "step-finished", step: "cancel", result, durationMs: 9 };
  const measured: Happening = { type: "verification-checked", check: 0, passed: true, output: result, reason: null };
  const steps = [happened.planned("d1", effects, "cancel"), happened.started("d1", "cancel"), applied, measured, told];
  await tell(story(...question, 60, approved, ...steps), asked);
  const text = replies().join("\n");
  expect(text).toMatch(/Applied cancel, 2 effects\n.*\nMeasured: as expected$/);
  expect(text).not.toContain("Told");
});

test("nothing is called where nothing that is shown has changed", async () => {
  const before = await tell(story(...question));
  const calls = slack.calls().length;
  const refused: Happening = { type: "answer-refused", step: "cancel", approval: "a1", by: "slack:U9", reason: "no" };
  const after = await tell(story(...question, 5, refused), before);
  expect(after).toMatchObject({ ok: true, shownSeq: 4 });
  expect(slack.calls()).toHaveLength(calls);
});

const closings: readonly (readonly [string, readonly Happening[], RegExp])[] = [
  [
    "declined",
    [happened.declined({ by: "slack:U024BE7LH", reason: "wait for the backup", step: "cancel" })],
    /^Declined: cancel on youtility3\n\*Declined\* by <@U024BE7LH>, .*\n“wait for the backup”/,
  ],
  ["expired", [happened.expired("a1", "cancel")], /^Expired: .*\n\*Expired\*, .*: nobody answered in time\./],
  [
    "withdrawn since the alert resolved",
    [
      { type: "approval-voided", step: "cancel", approval: "a1", reason: "the alert resolved" },
      { type: "ended", outcome: "resolved", reason: "the alert resolved before anything was changed" },
    ],
    /^Resolved by itself: .*\n\*Ended resolved\*.*\nthe alert resolved before anything was changed\n\*Withdrawn\*/,
  ],
  [
    "withdrawn by the run's end alone",
    [happened.cancelled(), { type: "ended", outcome: "cancelled", reason: "ann cancels: false alarm" }],
    /^Cancelled: .*\n\*Ended cancelled\*.*\nann cancels: false alarm\n\*Withdrawn\*/,
  ],
  [
    "withdrawn since who approved may not any more",
    [approved, { type: "approvers-checked", step: "cancel", approval: "a1", allowed: false, reason: "ann left dba" }],
    /^Withdrawn: .*\n\*Approved\* by <@U024BE7LH>.*\n\*Withdrawn\*.*\nWhy: ann left dba/,
  ],
];

test.each(closings)("a question that is %s loses its buttons and says so", async (_, happenings, expected) => {
  const asked = await tell(story(...question));
  await tell(story(...question, 60, ...happenings), asked);
  expect(shown()).toMatch(expected);
  expect(buttonsOf(slack.messages()[0] as never)).toEqual([]);
});

test("of two needed approvals, the message says who has given the first, and keeps its buttons", async () => {
  const two = [
    2,
    ...asking({ atLeast: 2, approvers: ["dba"], reasons: ["risk-irreversible", "budget-spent"] }),
  ] as const;
  const asked = await tell(story(...two));
  expect(shown()).toContain("Needs 2 approvals by different people, from `dba`.");
  expect(shown()).toContain("Asks because it cannot be undone, the budget for doing it unasked is spent.");
  await tell(story(...two, 9, happened.approvedInPart({ by: "slack:U1", step: "cancel" })), asked);
  expect(shown()).toContain("Approved so far by <@U1>.");
  expect(buttonsOf(slack.messages()[0] as never)).toHaveLength(2);
});

test("a run that was asked for says who asked and why", async () => {
  const trigger = { kind: "request", by: "slack:U7", reason: "the nightly job hangs" } as const;
  await tell(storyOf({ trigger }, ...question));
  expect(shown()).toContain("Asked for: the nightly job hangs\n<@U7> asked for it.");
});

describe("a run that asks again", () => {
  const voided: Happening = { type: "approval-voided", step: "cancel", approval: "a1", reason: "the plan changed" };
  const again = [...question, 60, voided, ...asking({ approval: "a2", digest: "d2", effects: [...effects, "more"] })];

  test("turns its message into the new question and says so where people see it, once", async () => {
    const asked = await tell(story(...question));
    const more = await tell(story(...again), asked);
    expect(more.place).toMatchObject({ asked: "a2" });
    expect(shown()).toMatch(/^Approve cancel on youtility3\?/);
    expect(buttonsOf(slack.messages()[0] as never)[0]?.[1]).toContain('"approval":"a2","digest":"d2"');
    const [root, line] = slack.messages();
    expect(line).toMatchObject({ threadTs: root?.ts, broadcast: true });
    expect(shown(1)).toContain("It asks again: Approve cancel on youtility3? 3 effects");
    await tell(story(...again), more);
    expect(slack.messages()).toHaveLength(2);
  });

  test("has not asked before people were notified of it, and edits only once", async () => {
    const asked = await tell(story(...question));
    slack.fail("chat.postMessage", { retryAfter: 7 }, 1);
    const failed = await tell(story(...again), asked);
    expect(failed).toMatchObject({
      ok: false,
      retryable: true,
      retryAfterMs: 7_000,
      throttled: true,
      place: { asked: "a1" },
    });
    const mended = await tell(story(...again), failed);
    expect(mended).toMatchObject({ ok: true, place: { asked: "a2" } });
    expect(slack.calls("chat.update")).toHaveLength(1);
  });
});

test("what failed between two calls is done by the next, and what was done is not done again", async () => {
  const asked = await tell(story(...question));
  slack.fail("chat.postMessage", { error: "internal_error" }, 1);
  const failed = await tell(story(...question, 60, approved), asked);
  expect(failed).toMatchObject({ ok: false, retryable: true });
  expect(shown()).toMatch(/^Approved/);
  expect(replies()).toEqual([]);
  expect(await tell(story(...question, 60, approved), failed)).toMatchObject({ ok: true });
  expect(slack.calls("chat.update")).toHaveLength(1);
  expect(replies()).toHaveLength(1);
});

describe("where Slack does not take it", () => {
  const archived = () => {
    slack.channel("#ops").archived = true;
  };
  const gone = () => {
    slack.channel("#ops").appIsIn = false;
  };
  const throttled = () => slack.fail("chat.postMessage", { retryAfter: 30 });
  const revoked = () => slack.fail("*", { error: "invalid_auth" });

  test.each([archived, gone, throttled, revoked])("a question stays to be asked (%o)", async (breakIt) => {
    breakIt();
    const failed = await tell(story(...question));
    expect(failed).toMatchObject({ ok: false, retryable: true, place: null, shownSeq: 0 });
    if (breakIt === throttled) expect(failed).toMatchObject({ retryAfterMs: 30_000 });
    slack.fail("*", null);
    slack.fail("chat.postMessage", null);
    Object.assign(slack.channel("#ops"), { archived: false, appIsIn: true });
    expect(await tell(story(...question), failed)).toMatchObject({ ok: true, place: { asked: "a1" } });
    expect(slack.messages()).toHaveLength(1);
  });

  test("an edit that is throttled is made when Slack says, once, whatever became of the run meanwhile", async () => {
    const asked = await tell(story(...question));
    slack.fail("chat.update", { retryAfter: 30 }, 1);
    const throttledEdit = await tell(story(...question, 60, approved), asked);
    expect(throttledEdit).toMatchObject({ ok: false, retryable: true, retryAfterMs: 30_000, place: asked.place });
    expect(shown()).toMatch(/^Approve cancel/);
    const history = story(...question, 60, approved, ...carriedOut);
    expect(await tell(history, throttledEdit)).toMatchObject({ ok: true, done: true });
    expect(shown()).toMatch(/^Fixed/);
    expect(slack.messages()[0]?.edits).toBe(1);
    expect(slack.messages()).toHaveLength(1);
  });

  test("the record of a run that has ended is given up in an archived channel", async () => {
    const asked = await tell(story(...question));
    archived();
    const history = story(...question, 60, approved, ...carriedOut);
    expect(await tell(history, asked)).toMatchObject({ ok: false, retryable: false });
  });

  test("a message that is too long after all is said in short, and still asks", async () => {
    slack.fail("chat.postMessage", { error: "msg_blocks_too_long" }, 1);
    const many = Array.from({ length: 200 }, (_, index) => `cancel the query of pid ${index}`);
    expect(await tell(story(2, ...asking({ effects: many })))).toMatchObject({ ok: true, place: { asked: "a1" } });
    expect(buttonsOf(slack.messages()[0] as never)).toHaveLength(3);
    expect(shown()).toMatch(/… and 1\d\d more effects\.\* All of them: <https/);
  });
});

describe("a message that was deleted", () => {
  const again = [...question, 60, happened.approvedInPart({ by: "slack:U1", step: "cancel" })];

  test("is posted anew while it asks, with a note, and not a third time", async () => {
    const asked = await tell(story(...question));
    slack.deleteMessage(slack.messages()[0] as never);
    const anew = await tell(story(...again), asked);
    expect(anew).toMatchObject({ ok: true, place: { asked: "a1" } });
    expect(slack.messages()).toHaveLength(1);
    expect(anew.place?.["ts"]).toBe(slack.messages()[0]?.ts);
    expect(buttonsOf(slack.messages()[0] as never)).toHaveLength(2);
    expect(replies()[0]).toMatch(/^The message about this run before this one was deleted/);
    slack.deleteMessage(slack.messages()[0] as never);
    const third = await tell(story(...again, 70, happened.approvedInPart({ by: "slack:U2", step: "cancel" })), anew);
    expect(third).toMatchObject({ ok: true });
    expect(slack.messages()).toEqual([]);
  });

  test("is noted at the run's end, and nothing of the story lands in the channel", async () => {
    const asked = await tell(story(...question));
    slack.deleteMessage(slack.messages()[0] as never);
    const history = story(...question, 60, approved, ...carriedOut);
    const ended = await tell(history, asked);
    expect(ended).toMatchObject({ ok: false, retryable: false, reason: expect.stringContaining("deleted in Slack") });
    expect(slack.messages()).toEqual([]);
  });

  test("is posted anew by the run's next question", async () => {
    const asked = await tell(story(...question));
    slack.deleteMessage(slack.messages()[0] as never);
    const decided = await tell(story(...question, 60, approved), asked);
    expect(decided).toMatchObject({ ok: true, done: false });
    expect(slack.messages()).toEqual([]);
    const next = asking({ approval: "a2", step: "terminate" });
    expect(await tell(story(...question, 60, approved, ...next), decided)).toMatchObject({ place: { asked: "a2" } });
    expect(shown()).toMatch(/^Approve terminate/);
  });
});

test("where Slack closes the window for edits the story goes on in the thread, and the end says what stays", async () => {
  const asked = await tell(story(...question));
  slack.closeEditWindow(slack.messages()[0] as never);
  const ended = await tell(story(...question, 60, approved, ...carriedOut), asked);
  expect(ended).toMatchObject({
    ok: false,
    retryable: false,
    reason: expect.stringContaining("buttons decide nothing"),
  });
  expect(replies()[0]).toContain("Ended fixed: the end");
});

test("a question that cannot be edited into the message is asked in a new one", async () => {
  const asked = await tell(story(...question));
  slack.closeEditWindow(slack.messages()[0] as never);
  const history = story(...question, 60, happened.expired("a1", "cancel"), ...asking({ approval: "a2", digest: "d2" }));
  expect(await tell(history, asked)).toMatchObject({ ok: true, place: { asked: "a2", ts: slack.messages()[1]?.ts } });
  expect(slack.messages()).toHaveLength(2);
  expect(buttonsOf(slack.messages()[1] as never)[0]?.[1]).toContain('"approval":"a2"');
});

test("what was handed over is followed until somebody has it", async () => {
  const history = [...question, 60, happened.expired("a1", "cancel"), happened.escalated(), happened.ended("expired")];
  const ended = await tell(story(...history));
  expect(ended).toMatchObject({ ok: true, done: false });
  const had = await tell(story(...history, 90, { type: "acknowledged", by: "slack:U024BE7LH" }), ended);
  expect(had).toMatchObject({ ok: true, done: true });
  expect(shown()).toContain("<@U024BE7LH> has it.");
});

test("of a long story one reply tells the beginning and the end, and counts the rest", async () => {
  const asked = await tell(story(...question));
  const steps = Array.from({ length: 40 }, (_, index) => [
    happened.started("d1", `s${index}`),
    happened.finished(`s${index}`),
  ]);
  await tell(story(...question, 60, approved, ...steps.flat(), happened.ended("fixed")), asked);
  expect(replies()).toHaveLength(1);
  expect(replies()[0]).toMatch(/approved cancel[\s\S]*… 72 more events: <https[\s\S]*Ended fixed: the end$/);
});

test("an address is not needed", async () => {
  await follow(message(), subject(story(...question), ""), ever);
  expect(shown()).toMatch(new RegExp(`\`paramedic show ${run}\`$`));
});
