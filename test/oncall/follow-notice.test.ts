/** What is told in separate messages: each once, in order, and nothing of what is over. */

import { followNotice, type NoticeWay } from "../../src/oncall/follow-notice.ts";
import type { Delivered, Message, Notice, Subject } from "../../src/oncall/way.ts";
import { happened } from "../support/builders.ts";
import { afterwards, messageOf, never, subjectAfter } from "./notices.ts";

/** What was delivered, and to whom. */
let told: { readonly kind: Notice["kind"]; readonly to: readonly string[] }[];
let answers: Delivered[];

beforeEach(() => {
  told = [];
  answers = [];
});

const later: Delivered = { ok: false, reason: "busy", retryable: true, retryAfterMs: 9_000 };
const to = ["ops@example.net", "dev@example.net"];

function way(over: Partial<NoticeWay<readonly string[]>> = {}) {
  return followNotice({
    deliver: async (notice, recipients) => {
      const answer = answers.shift() ?? { ok: true };
      if (answer.ok) told.push({ kind: notice.kind, to: recipients });
      return answer;
    },
    to,
    told: "the people",
    levels: () => 2,
    tells: { acknowledged: true, recovered: true },
    ...over,
  });
}

/** Follows as the outbox does: again while events are left that were not told. */
async function through(follow: ReturnType<typeof way>, message: Message, ...subjects: readonly Subject[]) {
  const all = [];
  let now = message;
  for (const subject of subjects) {
    const last = subject.story.at(-1)?.seq ?? 0;
    for (let calls = 0; calls < 5; calls += 1) {
      const followed = await follow(now, subject, never);
      all.push(followed);
      now = afterwards(now, followed);
      if (!followed.ok || followed.done || followed.shownSeq >= last) break;
    }
  }
  return all;
}

const handedOver = [5, happened.escalated(), happened.ended("ineffective")];
const acknowledged = [...handedOver, 6, { type: "acknowledged", by: "api:night" } as const];
const recovered = [...acknowledged, 7, happened.recovered()];

test("a notice is told, then that somebody has it, then that it is over, once each", async () => {
  const all = await through(
    way(),
    messageOf(),
    subjectAfter(...handedOver),
    subjectAfter(...handedOver, 6, happened.recoveryChecked(false)),
    subjectAfter(...acknowledged),
    subjectAfter(...acknowledged, 7, happened.recoveryChecked()),
    subjectAfter(...recovered),
  );
  expect(told.map(({ kind }) => kind)).toEqual(["handed-over", "acknowledged", "recovered"]);
  expect(all.map((one) => one.ok && [one.told, one.done])).toEqual([
    ["the people", false],
    [null, false],
    [null, false],
    [null, false],
    [null, true],
  ]);
});

test("a way that does not tell who has it tells only that it is over", async () => {
  const follow = way({ tells: { acknowledged: false, recovered: true } });
  const subjects = [handedOver, acknowledged, recovered].map((entries) => subjectAfter(...entries));
  expect((await through(follow, messageOf(), ...subjects)).at(-1)).toMatchObject({ done: true });
  expect(told.map(({ kind }) => kind)).toEqual(["handed-over", "recovered"]);
});

test("what was acknowledged before it was told is told with that, in two calls, and the first says whom it reached", async () => {
  answers = [{ ok: true }, later];
  const all = await through(
    way(),
    messageOf({ topic: "notify" }),
    subjectAfter(...acknowledged),
    subjectAfter(...acknowledged),
  );
  expect(all).toMatchObject([
    { told: "the people", done: false },
    { ok: false },
    { ok: true, told: null, done: false },
  ]);
  expect(told.map(({ kind }) => kind)).toEqual(["firing", "acknowledged"]);
});

test.each(["handed-over", "held", "notify", "approval-unasked"] as const)(
  "what has recovered before it was told wakes nobody (%s)",
  async (topic) => {
    const all = await through(way(), messageOf({ topic, way: "pagerduty" }), subjectAfter(...recovered));
    expect(all).toMatchObject([{ ok: true, told: null, done: true, place: null }]);
    expect(told).toEqual([]);
  },
);

test("an approval that was decided before it could be told of is not asked for", async () => {
  const asked = [1, happened.requested()];
  const message = messageOf({ topic: "approval-unasked" });
  await through(way(), message, subjectAfter(...asked, happened.approved()));
  expect(told).toEqual([]);
  await through(way(), message, subjectAfter(...asked));
  expect(told.map(({ kind }) => kind)).toEqual(["approval-unasked"]);
});

test("a contact's mail is sent whatever became of the run, and says that it is over", async () => {
  const [followed] = await through(way(), messageOf({ topic: "notify" }), subjectAfter(...recovered));
  expect(told.map(({ kind }) => kind)).toEqual(["recovered"]);
  expect(followed).toMatchObject({ ok: true, told: "the people", done: true });
});

test("a run that ended and was not handed over has nothing more to tell", async () => {
  const message = messageOf({ topic: "notify" });
  const all = await through(way(), message, subjectAfter(1), subjectAfter(1, happened.ended("cancelled")));
  expect(all).toMatchObject([{ done: false }, { done: true }]);
  expect(told.map(({ kind }) => kind)).toEqual(["firing"]);
});

test("a failure says when to come back, and what was told is kept", async () => {
  answers = [later];
  const failed = await way()(messageOf(), subjectAfter(...handedOver), never);
  expect(failed).toEqual({ ...later, place: { sent: [] }, shownSeq: 0 });
  answers = [{ ok: true }, later];
  const [first, second] = await through(way(), messageOf(), subjectAfter(...handedOver), subjectAfter(...recovered));
  expect(first).toMatchObject({ ok: true, told: "the people" });
  expect(second).toMatchObject({ ok: false, place: { sent: ["handed-over"] }, shownSeq: first?.shownSeq });
});

test("who has a notice does not get it again when the others are tried again, and all hear the next one", async () => {
  answers = [
    { ...later, reached: ["ops@example.net"] },
    { ...later, reached: [] },
  ];
  const subject = subjectAfter(...handedOver);
  const all = await through(way(), messageOf(), subject, subject, subject, subjectAfter(...recovered));
  expect(all.map(({ ok }) => ok)).toEqual([false, false, true, true]);
  expect(told).toEqual([
    { kind: "handed-over", to: ["dev@example.net"] },
    { kind: "recovered", to },
  ]);
});

test("where it is over before everybody has it, all hear that and nothing else", async () => {
  answers = [{ ...later, reached: ["ops@example.net"] }];
  const all = await through(way(), messageOf(), subjectAfter(...handedOver), subjectAfter(...recovered));
  expect(all.at(-1)).toMatchObject({ ok: true, told: "the people", done: true });
  expect(told).toEqual([{ kind: "recovered", to }]);
});
