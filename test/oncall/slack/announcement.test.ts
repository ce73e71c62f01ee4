/** Announcements in Slack: the line before, and the line that says how it ended, against the Slack double. */

import type { Happening } from "../../../src/domain/event.ts";
import type { Followed } from "../../../src/domain/followed.ts";
import { followAnnouncement } from "../../../src/oncall/slack/announcement.ts";
import type { Follow, Message } from "../../../src/oncall/way.ts";
import { happened, timeAt } from "../../support/builders.ts";
import { type SlackDouble, startSlackDouble } from "../../support/slack-double.ts";
import { callsOf, effects, ever, message, story, storyOf, subject, textsOf } from "./told.ts";

let slack: SlackDouble;
let follow: Follow;
const announcement = message({ topic: "announcement" });

beforeEach(async () => {
  slack = await startSlackDouble();
  follow = followAnnouncement({ call: callsOf(slack), channel: "#ops" });
});

afterEach(() => slack.stop());

function announcing(seconds: number, over: Partial<Extract<Happening, { type: "announcing" }>> = {}): Happening {
  return { type: "announcing", step: "cancel", effects, places: ["slack"], notBefore: timeAt(seconds), ...over };
}

function later(followed: Followed): Message {
  return { ...announcement, place: followed.place, shownSeq: followed.shownSeq };
}

function shown(index: number): string {
  return textsOf(slack.messages()[index]?.blocks).join("\n");
}

test("before the change a line says what will be done, where, why and when", async () => {
  const told = await follow(announcement, subject(story(2, announcing(302))), ever);
  expect(told).toMatchObject({ ok: true, told: "Slack #ops", done: false, shownSeq: 2 });
  expect(shown(0)).toMatch(
    /^About to change youtility3: cancel the query of pid 4242 .*; cancel the query of pid 4243 .*\n\*Not before <!date\^1767607502\^.*\nWhy: DatabaseOverload, critical, db-1:9187: The database of youtility3 is busy\n/,
  );
});

test("of many effects the first are named and the rest counted; without a lead time none is named", async () => {
  const many = Array.from({ length: 50 }, (_, index) => `restart worker ${index}`);
  const trigger = { kind: "request", by: "slack:U7", reason: "a new certificate" } as const;
  await follow(announcement, subject(storyOf({ trigger }, 2, announcing(2, { effects: many }))), ever);
  expect(shown(0)).toMatch(
    /^About to change youtility3: restart worker 0; restart worker 1; restart worker 2; and 47 more effects\nWhy: Asked for: a new certificate\n<@U7> asked for it\.\n/,
  );
});

test("one closing line, seen in the channel, says how it ended", async () => {
  const changed = [2, announcing(2), happened.started("d1", "cancel"), happened.finished("cancel")] as const;
  const told = await follow(announcement, subject(story(2, announcing(2))), ever);
  const meanwhile = await follow(later(told), subject(story(...changed)), ever);
  expect(meanwhile).toMatchObject({ ok: true, told: null, done: false, shownSeq: 4 });
  expect(slack.messages()).toHaveLength(1);
  const ended = await follow(later(meanwhile), subject(story(...changed, 9, happened.ended("fixed"))), ever);
  expect(ended).toMatchObject({ ok: true, told: null, done: true });
  const [first, last] = slack.messages();
  expect(last).toMatchObject({ threadTs: first?.ts, broadcast: true });
  expect(shown(1)).toMatch(/^Fixed: database-overload on youtility3\. the end\n/);
  expect(await follow(later(ended), subject(story(...changed, 9, happened.ended("fixed"))), ever)).toMatchObject({
    done: true,
  });
  expect(slack.messages()).toHaveLength(2);
});

test("where the run ends before anything was applied, the closing line says that nothing was changed", async () => {
  const told = await follow(announcement, subject(story(2, announcing(302))), ever);
  await follow(
    later(told),
    subject(story(2, announcing(302), 60, happened.resolved(), happened.ended("resolved"))),
    ever,
  );
  expect(shown(1)).toMatch(/^Nothing was changed\. Resolved by itself: /);
});

test("what could not be announced in time is announced late if it was changed, and not at all if it was not", async () => {
  const ended = [2, announcing(2), 9, happened.ended("failed")] as const;
  expect(await follow(announcement, subject(story(...ended)), ever)).toMatchObject({
    ok: true,
    told: null,
    done: true,
  });
  expect(slack.calls()).toEqual([]);
  const changed = subject(story(2, announcing(2), happened.started("d1", "cancel"), 9, happened.ended("failed")));
  const late = await follow(announcement, changed, ever);
  // Less than the newest event: the closing line is still to be said.
  expect(late).toMatchObject({ ok: true, told: "Slack #ops", done: false, shownSeq: 2 });
  expect(shown(0)).toMatch(/^Changed youtility3: /);
  expect(await follow(later(late), changed, ever)).toMatchObject({ ok: true, done: true, shownSeq: 4 });
  expect(shown(1)).toMatch(/^Failed: /);
});

test("a closing line that Slack does not take is tried again, and the first one is not said twice", async () => {
  const told = await follow(announcement, subject(story(2, announcing(2))), ever);
  slack.fail("chat.postMessage", { retryAfter: 3 }, 1);
  const ended = subject(story(2, announcing(2), happened.started("d1", "cancel"), 9, happened.ended("fixed")));
  const failed = await follow(later(told), ended, ever);
  expect(failed).toMatchObject({ ok: false, retryable: true, retryAfterMs: 3_000 });
  expect(await follow(later(failed), ended, ever)).toMatchObject({ ok: true, done: true });
  expect(slack.messages()).toHaveLength(2);
});
