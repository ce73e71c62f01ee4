import { followChanges } from "../../src/oncall/changes.ts";
import { createPagerDuty } from "../../src/oncall/pagerduty.ts";
import type { AppliedChange } from "../../src/oncall/pagerduty-event.ts";
import type { Delivered } from "../../src/oncall/way.ts";
import { happened, timeAt } from "../support/builders.ts";
import { startPagerDutyDouble } from "../support/pagerduty-double.ts";
import { afterwards, messageOf, never, run, subjectAfter } from "./notices.ts";

const message = messageOf({ topic: "changes", way: "pagerduty", policy: "" });

let told: AppliedChange[];
let answers: Delivered[];

beforeEach(() => {
  told = [];
  answers = [];
});

const follow = followChanges({
  change: async (change) => {
    const answer = answers.shift() ?? { ok: true };
    if (answer.ok) told.push(change);
    return answer;
  },
  to: "PagerDuty",
});

const change = (step: string) => [happened.planned("d", [`effect of ${step}`], step), happened.started("d", step)];
const one = [1, ...change("one"), 2, happened.finished("one")];
const two = [...one, 3, ...change("two"), 4, happened.inDoubt("two"), happened.probed("applied", "two")];
const three = [...two, 5, ...change("three"), 6, happened.finished("three")];
const busy: Delivered = { ok: false, reason: "busy", retryable: true, retryAfterMs: 5 };
const no: Delivered = { ok: false, reason: "no such key", retryable: false };

test("each applied change is told once, with the effects that were applied, until the run has ended", async () => {
  const before = await follow(message, subjectAfter(1, ...change("one")), never);
  expect(before).toMatchObject({ ok: true, told: null, done: false });
  const first = await follow(afterwards(message, before), subjectAfter(...one), never);
  expect(first).toMatchObject({ ok: true, told: "PagerDuty", done: false });
  const second = await follow(afterwards(message, first), subjectAfter(...three), never);
  expect(second).toMatchObject({ ok: true, told: null, done: false });
  const last = await follow(afterwards(message, second), subjectAfter(...three, 9, happened.ended("fixed")), never);
  expect(last).toMatchObject({ ok: true, told: null, done: true });
  expect(told.map(({ step, effects, at }) => [step, effects, at])).toEqual([
    ["one", ["effect of one"], timeAt(2)],
    ["two", ["effect of two"], timeAt(4)],
    ["three", ["effect of three"], timeAt(6)],
  ]);
  expect(told[0]).toMatchObject({ run, playbook: "database-overload", target: "youtility3" });
});

test("what was only said to people is no change", async () => {
  const said = [
    1,
    happened.planned("d", ["report to monitoring"], "say"),
    happened.said("d", "say"),
    happened.finished("say"),
  ];
  await follow(message, subjectAfter(...said, 2, ...change("one"), happened.finished("one")), never);
  expect(told.map(({ step }) => step)).toEqual(["one"]);
});

test("a plan that was made again is told as it was applied, and what was not applied is not told", async () => {
  const again = [1, ...change("one"), happened.failed("apply"), 3, happened.planned("e", ["other effect"], "one")];
  await follow(message, subjectAfter(...again, happened.started("e", "one"), 4, happened.finished("one")), never);
  expect(told.map(({ effects }) => effects)).toEqual([["other effect"]]);
  told = [];
  await follow(message, subjectAfter(1, ...change("one"), happened.probed("not-applied", "one")), never);
  expect(told).toEqual([]);
});

test("a failure in between repeats none", async () => {
  answers = [{ ok: true }, busy, busy];
  const going = await follow(message, subjectAfter(...three), never);
  // What was told is kept at once; the failure is the next call's.
  expect(going).toMatchObject({ ok: true, told: "PagerDuty", done: false, shownSeq: 4 });
  const failed = await follow(afterwards(message, going), subjectAfter(...three), never);
  expect(failed).toMatchObject({ ...busy, shownSeq: 4 });
  expect(await follow(afterwards(message, failed), subjectAfter(...three), never)).toMatchObject({ told: null });
  expect(told.map(({ step }) => step)).toEqual(["one", "two", "three"]);
});

test("one that is refused for good does not keep the following from being told, and is reported in the end", async () => {
  answers = [no, busy];
  const failed = await follow(message, subjectAfter(...three), never);
  const ended = subjectAfter(...three, 9, happened.ended("fixed"));
  const end = await follow(afterwards(message, failed), ended, never);
  expect(told.map(({ step }) => step)).toEqual(["two", "three"]);
  expect(end).toMatchObject({
    ok: false,
    retryable: false,
    reason: "1 of 3 changes were refused, the last one: no such key",
  });
});

test("where all are refused nobody was told, which the outbox sees", async () => {
  answers = [no, no, no];
  const going = await follow(message, subjectAfter(...three), never);
  expect(going).toMatchObject({ ok: true, told: null, done: false });
  const end = await follow(afterwards(message, going), subjectAfter(...three, 9, happened.ended("fixed")), never);
  expect(end).toMatchObject({ ok: false, retryable: false, shownSeq: 0 });
});

test("PagerDuty records one change event for each, under the key of the configuration", async () => {
  const double = await startPagerDutyDouble();
  try {
    const pagerDuty = createPagerDuty({ server: double.server, ca: double.ca });
    const toPagerDuty = followChanges({
      change: (applied, signal) => pagerDuty.change(applied, "0123456789abcdef", signal),
      to: "PagerDuty",
    });
    expect(await toPagerDuty(message, subjectAfter(...two), never)).toMatchObject({ ok: true, told: "PagerDuty" });
    expect(double.requests.map(({ path }) => path)).toEqual(["/v2/change/enqueue", "/v2/change/enqueue"]);
    expect(double.requests[0]?.body).toMatchObject({
      payload: { summary: "Paramedic applied one of database-overload on youtility3", timestamp: timeAt(2) },
    });
  } finally {
    await double.stop();
  }
});
