/** Announcements on a status page: what everybody may read, once each, whatever the page answers. */

import type { Followed } from "../../src/domain/followed.ts";
import { createStatusPage } from "../../src/oncall/status-page.ts";
import type { Message, Subject } from "../../src/oncall/way.ts";
import { happened, timeAt } from "../support/builders.ts";
import { type StatusPageDouble, type StatusPageFailure, startStatusPageDouble } from "../support/status-page-double.ts";
import { until } from "../support/until.ts";
import { afterwards, evilText, messageOf, never, retaken, run, subjectAfter } from "./notices.ts";

let double: StatusPageDouble;
let pageId: string;
let token: { reveal(): string };

beforeEach(async () => {
  ({ double, pageId, token } = await startStatusPageDouble());
});

afterEach(() => double.stop());

const announcement = (over: Partial<Message> = {}) =>
  messageOf({ topic: "announcement", way: "status-page", policy: "", ...over });

const statuspage = (timeoutMs?: number) =>
  createStatusPage({ kind: "statuspage", url: double.url, pageId, token }, timeoutMs).follow;
const webhook = (timeoutMs?: number) =>
  createStatusPage({ kind: "webhook", url: double.hookUrl, token }, timeoutMs).follow;

const planned = [
  1,
  happened.planned("d1", ["cancel the query of pid 4242 on db-1.internal"]),
  2,
  happened.announcing(),
];
const changed = [...planned, 3, happened.started(), 4, happened.finished()];
const fixed = [...changed, 5, happened.checked(true), happened.ended("fixed")];
const inVain = [...changed, 90, happened.checked(false), happened.escalated(), happened.ended("ineffective")];
const recovered = [...inVain, 300, { type: "recovered", reason: "the alert resolved" } as const];

/** What stands on the page. */
const shown = () => double.entries.map(({ status, updates }) => [status, ...updates.map(({ status: then }) => then)]);

/** The reason of a failure, which never holds the token. */
function failure(followed: Followed) {
  if (followed.ok) throw new Error("It was told.");
  expect(followed.reason).not.toContain("canary");
  return followed;
}

/** Follows a run through these subjects, as the outbox does. */
async function through(follow: ReturnType<typeof statuspage>, ...subjects: readonly Subject[]) {
  let message = announcement();
  const all: Followed[] = [];
  for (const subject of subjects) {
    const followed = await follow(message, subject, never);
    all.push(followed);
    message = afterwards(message, followed);
  }
  return all;
}

test("what is about to be done is shown, then that it was done, then that it helped", async () => {
  const all = await through(statuspage(), subjectAfter(...planned), subjectAfter(...changed), subjectAfter(...fixed));
  expect(all).toMatchObject([
    { ok: true, told: "the status page", done: false, place: { id: "e1" } },
    { ok: true, told: null, done: false },
    { ok: true, told: null, done: true },
  ]);
  expect(shown()).toEqual([["resolved", "identified", "monitoring", "resolved"]]);
  expect(double.entries).toMatchObject([
    {
      name: "youtility3: Cancel the queries that have been holding the database.",
      metadata: { paramedic: { run } },
      updates: [
        { body: expect.stringMatching(/^An automatic change on youtility3 is about to be made\. Cancel the queries/) },
        { body: "The change was made. We measure whether it helps." },
        { body: "It helped: measurements are as they should be." },
      ],
    },
  ]);
});

test("what did not help stays open until it has recovered", async () => {
  const [, , inTheEnd, last] = await through(
    statuspage(),
    subjectAfter(...planned),
    subjectAfter(...changed),
    subjectAfter(...inVain),
    subjectAfter(...recovered),
  );
  expect([inTheEnd, last]).toMatchObject([{ done: false }, { done: true }]);
  expect(shown()).toEqual([["resolved", "identified", "monitoring", "investigating", "resolved"]]);
});

test("what was called off before anything was changed is closed, and what people must look at is not", async () => {
  const off = [...planned, 3, happened.cancelled(), happened.ended("cancelled")];
  const refused = [...planned, 3, happened.escalated(), happened.ended("failed")];
  await through(statuspage(), subjectAfter(...planned), subjectAfter(...off));
  await through(statuspage(), subjectAfter(...planned), subjectAfter(...refused));
  expect(double.entries.map(({ updates }) => updates.at(-1))).toEqual([
    { status: "investigating", body: "The automatic change was not made. People look at it." },
    { status: "resolved", body: "This was called off; nothing was changed." },
  ]);
});

test("that the alert resolved before a change is told as a measurement only where one was made", async () => {
  const off = [...planned, 3, happened.resolved(), happened.ended("resolved")];
  const measured = [...planned, 3, happened.resolved(), happened.checked(true), happened.ended("resolved")];
  await through(statuspage(), subjectAfter(...planned), subjectAfter(...off));
  await through(statuspage(), subjectAfter(...planned), subjectAfter(...measured));
  expect(double.entries.map(({ updates }) => updates.at(-1))).toEqual([
    { status: "resolved", body: "The trouble has passed." },
    { status: "resolved", body: "This was called off; nothing was changed." },
  ]);
});

test("only the newest is shown, and what was over before it could be shown is not shown at all", async () => {
  await through(statuspage(), subjectAfter(...inVain));
  expect(shown()).toEqual([["investigating", "investigating"]]);
  expect(await through(statuspage(), subjectAfter(...fixed))).toMatchObject([{ ok: true, told: null, done: true }]);
  expect(double.entries).toHaveLength(1);
});

test("the lead time is told", async () => {
  await through(statuspage(), subjectAfter(1, happened.planned(), happened.announcing(timeAt(300))));
  expect(double.entries[0]?.updates[0]?.body).toContain("not before 2026-01-05T10:05:00.000Z");
});

test("nothing of labels, annotations, effects or hosts is on the public page", async () => {
  await through(statuspage(), subjectAfter(...planned), subjectAfter(...changed), subjectAfter(...recovered));
  const sent = JSON.stringify(double.calls.map(({ body }) => body));
  for (const inside of ["DatabaseOverload", "db-1", "busy", "4242", "wiki", "critical", "http"]) {
    expect(sent).not.toContain(inside);
  }
});

test("an entry whose creation was done and not answered is found again and not made twice, also on a crowded page", async () => {
  double.fail("lose-answer");
  const first = await statuspage()(announcement(), subjectAfter(...planned), never);
  expect(failure(first)).toMatchObject({ retryable: true, place: null, shownSeq: 0 });
  double.fail(null);
  double.crowd(150);
  const again = afterwards(announcement(), first);
  expect(await statuspage()(again, subjectAfter(...changed), never)).toMatchObject({ told: "the status page" });
  expect(shown().filter((one) => one.length > 1)).toEqual([["monitoring", "identified", "monitoring"]]);
  expect(double.entries).toHaveLength(151);
});

test("what is taken again after whoever told it was killed has one entry, also where it is given up and tried again", async () => {
  await through(statuspage(), subjectAfter(...planned));
  const again = retaken(announcement());
  expect(await statuspage()(again, subjectAfter(...planned), never)).toMatchObject({ ok: true, place: { id: "e1" } });
  expect(await statuspage()(again, subjectAfter(...fixed), never)).toMatchObject({ ok: true, done: true });
  expect(shown()).toEqual([["resolved", "identified", "resolved"]]);
});

test("an update that was done and not answered is not made twice", async () => {
  const [told] = await through(statuspage(), subjectAfter(...planned));
  let message = afterwards(announcement(), told as Followed);
  double.fail("lose-answer", { method: "PATCH" });
  const lost = await statuspage()(message, subjectAfter(...changed), never);
  expect(failure(lost)).toMatchObject({ retryable: true, place: { id: "e1" } });
  message = afterwards(message, lost);
  double.fail(null);
  expect(await statuspage()(message, subjectAfter(...changed), never)).toMatchObject({ ok: true, told: null });
  expect(shown()).toEqual([["monitoring", "identified", "monitoring"]]);
});

test("what people have closed is not opened again", async () => {
  const [told] = await through(statuspage(), subjectAfter(...planned));
  double.setStatus("e1", "resolved");
  const message = afterwards(announcement(), told as Followed);
  expect(await statuspage()(message, subjectAfter(...inVain), never)).toMatchObject({ ok: true, done: true });
  expect(shown()).toEqual([["resolved", "identified"]]);
});

test("events that are not announced call nobody", async () => {
  await through(statuspage(), subjectAfter(...planned), subjectAfter(...planned, 3, happened.started()));
  expect(double.calls).toHaveLength(1);
  expect(await through(statuspage(), subjectAfter(1, happened.planned()))).toMatchObject([{ ok: true, done: false }]);
  expect(double.calls).toHaveLength(1);
});

describe.each(["statuspage", "webhook"] as const)("a %s", (kind) => {
  const follow = (timeoutMs?: number) => (kind === "webhook" ? webhook(timeoutMs) : statuspage(timeoutMs));
  const tell = (timeoutMs?: number) => follow(timeoutMs)(announcement(), subjectAfter(...planned), never);

  test.each<[StatusPageFailure, boolean, RegExp]>([
    [500, true, /\(500\): the double answers 500\.$/],
    ["html-503", true, /refused the call \(503\)\.$/],
    ["reset", true, /cannot be reached: ECONNRESET\.$/],
    ["redirect", false, /redirects \(307\).*final address\.$/],
    ["huge", true, /more than 4 MiB\.$/],
    [401, false, /\(401\)/],
    [422, false, /\(422\)/],
    ["echo-400", false, /no such token: \w+ \[secret\]\.$/],
  ])("that answers with %s is asked once and told of, retryable: %s", async (how, retryable, reason) => {
    double.fail(how);
    const told = failure(await tell());
    expect(told).toMatchObject({ retryable, place: null, shownSeq: 0 });
    expect(told.reason).toMatch(reason);
    expect(double.calls).toHaveLength(1);
  });

  test.each(["hang", "hang-in-body"] as const)("that does %s is given up at the deadline", async (how) => {
    double.fail(how);
    const begin = performance.now();
    expect(failure(await tell(300))).toMatchObject({ retryable: true, reason: expect.stringContaining("300 ms") });
    expect(performance.now() - begin).toBeLessThan(3_000);
  });

  test.each([420, 429, 503])("that answers %s is asked again when it says so", async (status) => {
    double.fail(status);
    expect(failure(await tell())).toMatchObject({
      retryable: true,
      ...(status === 420 ? {} : { retryAfterMs: 7_000 }),
    });
  });

  test("that is not there is asked again, and an aborted signal ends a call at once", async () => {
    double.fail("hang");
    const stop = new AbortController();
    const telling = follow(60_000)(announcement(), subjectAfter(...planned), stop.signal);
    await until(() => double.calls.length === 1);
    stop.abort();
    expect(failure(await telling)).toMatchObject({ retryable: true, reason: expect.stringContaining("Stopped") });
    await double.stop();
    expect(failure(await tell())).toMatchObject({ retryable: true, reason: expect.stringContaining("ECONNREFUSED") });
  });
});

test("what is no Statuspage is told of", async () => {
  double.fail("html-200");
  const told = failure(await statuspage()(announcement(), subjectAfter(...planned), never));
  expect(told.reason).toContain("Check statusPage.url");
});

test("a webhook is told every stage in order, with what, why and the outcome", async () => {
  const all = await through(webhook(), subjectAfter(...planned), subjectAfter(...recovered));
  expect(all).toMatchObject([
    { told: expect.stringMatching(/^127\.0\.0\.1:/), done: false },
    { told: null, done: true },
  ]);
  expect(double.calls.map(({ body }) => body)).toEqual([
    {
      event: "announced",
      run,
      playbook: "database-overload",
      target: "youtility3",
      what: ["would change"],
      why: "The database is busy",
      outcome: null,
      text: expect.stringContaining("about to be made"),
      url: `https://paramedic.example.net/api/v1/runs/${run}`,
      at: timeAt(2),
    },
    expect.objectContaining({
      event: "updated",
      outcome: null,
      what: ["cancel the query of pid 4242 on db-1.internal"],
    }),
    expect.objectContaining({ event: "updated", outcome: "ineffective", at: timeAt(90) }),
    expect.objectContaining({ event: "closed", outcome: "ineffective", at: timeAt(300) }),
  ]);
  expect(double.calls[0]?.headers).toMatchObject({ authorization: `Bearer ${token.reveal()}` });
});

test("a webhook that fails in between is told the rest later, each under a key of its own that does not change", async () => {
  const [told] = await through(webhook(), subjectAfter(...planned));
  let message = afterwards(announcement(), told as Followed);
  double.fail("lose-answer");
  const lost = await webhook()(message, subjectAfter(...fixed), never);
  message = afterwards(message, lost);
  double.fail(null);
  expect(await webhook()(message, subjectAfter(...fixed), never)).toMatchObject({ ok: true, told: null, done: true });
  const keys = double.calls.map(({ headers }) => headers["idempotency-key"]);
  expect(double.calls.map(({ body }) => body?.["event"])).toEqual(["announced", "updated", "updated", "closed"]);
  expect(keys[1]).toBe(keys[2]);
  expect(new Set(keys).size).toBe(3);
});

test("a webhook that is told again, since whoever told it was killed, can tell by the key", async () => {
  await webhook()(announcement(), subjectAfter(...planned), never);
  await webhook()(retaken(announcement()), subjectAfter(...planned), never);
  const keys = double.calls.map(({ headers }) => headers["idempotency-key"]);
  expect(keys).toHaveLength(2);
  expect(new Set(keys).size).toBe(1);
});

test("a webhook that fails after some of what is new is not told those again", async () => {
  double.fail(500, { after: 2 });
  const all = await through(webhook(), subjectAfter(...fixed), subjectAfter(...fixed));
  expect(all).toMatchObject([
    { ok: true, told: expect.any(String), done: false },
    { ok: false, retryable: true },
  ]);
  double.fail(null);
  const message = afterwards(announcement(), all[1] as Followed);
  expect(await webhook()(message, subjectAfter(...fixed), never)).toMatchObject({ ok: true, told: null, done: true });
  expect(double.calls.map(({ body }) => body?.["event"])).toEqual([
    "announced",
    "updated",
    "closed",
    "closed",
    "closed",
  ]);
});

test("a webhook without a token gets none", async () => {
  const { follow } = createStatusPage({ kind: "webhook", url: double.hookUrl, token: null });
  expect(await follow(announcement(), subjectAfter(...planned), never)).toMatchObject({ ok: true });
  expect(double.calls[0]?.headers).not.toHaveProperty("authorization");
});

test("untrusted text is one line of bounded length", async () => {
  const huge = `${evilText}${"é".repeat(5_000)}`;
  const effects = Array.from({ length: 1_000 }, () => huge);
  const story = [1, happened.planned("d1", effects), { ...happened.announcing(), effects } as (typeof planned)[number]];
  const subject = { ...subjectAfter(...story), annotations: { summary: huge }, target: huge, summary: huge };
  await webhook()(announcement(), subject, never);
  await statuspage()(announcement(), subject, never);
  const [told, created] = double.calls.map(({ body }) => body as Record<string, never>);
  expect(told?.["what"]).toHaveLength(101);
  expect(JSON.stringify([told?.["what"], told?.["why"], created])).not.toMatch(/\\[rnu]/);
  expect(JSON.stringify(told).length + JSON.stringify(created).length).toBeLessThan(50_000);
  expect(double.entries).toHaveLength(1);
});
