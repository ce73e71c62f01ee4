/** The outbox: one deliverer at a time, in order per run and way, again after failures, and again when the story goes on. */

import { deliveryDelaysMs } from "../../src/domain/escalation.ts";
import type { Followed } from "../../src/domain/followed.ts";
import { inTransaction } from "../../src/store/connect.ts";
import { createEscalations } from "../../src/store/escalations.ts";
import { createOutbox, type Outbox, type OutboxMessage } from "../../src/store/outbox.ts";
import { appendFromOutside } from "../../src/store/outside.ts";
import { happened } from "../support/builders.ts";
import {
  claimedRun,
  closeStores,
  newId,
  newStore,
  sameStore,
  storedRun,
  type TestStore,
  write,
} from "../support/store.ts";
import { until } from "../support/until.ts";

let store: TestStore;
let outbox: Outbox;

beforeEach(async () => {
  store = await newStore();
  outbox = createOutbox(store.database);
});

afterAll(closeStores);

/** A message that waits; ids rise in the order of the calls. */
async function put(run: string, over: { topic?: string; way?: string; level?: number } = {}): Promise<string> {
  const id = newId();
  const { topic = "handed-over", way = "email", level = 0 } = over;
  await store.sql(
    "INSERT INTO paramedic.outbox (id, run_id, topic, way, policy, level) VALUES ($1, $2, $3, $4, 'ward', $5)",
    [id, run, topic, way, level],
  );
  return id;
}

async function takeOne(): Promise<OutboxMessage> {
  const [message, ...more] = await outbox.take(30_000);
  if (!message || more.length > 0) throw new Error(`not one message was due, but ${more.length + (message ? 1 : 0)}`);
  return message;
}

const told = (over: Partial<Extract<Followed, { ok: true }>> = {}): Followed => ({
  ok: true,
  place: { ts: "1" },
  shownSeq: 1,
  told: "somebody",
  done: false,
  ...over,
});
const failed = (over: Partial<Extract<Followed, { ok: false }>> = {}): Followed => ({
  ok: false,
  reason: "busy",
  retryable: true,
  place: null,
  shownSeq: 0,
  ...over,
});

const row = async (id: string) =>
  (
    await store.sql(
      `SELECT state, attempts, place, shown_seq, lease_until, last_error,
         extract(epoch FROM due_at - now())::float8 * 1000 AS due_in_ms FROM paramedic.outbox WHERE id = $1`,
      [id],
    )
  )[0] as { state: string; attempts: number; due_in_ms: number | null; place: unknown; last_error: string | null };

/** Once so many statements wait for a row. */
async function waiting(count: number): Promise<void> {
  const blocked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  await until(async () => (await store.sql(blocked)).length === count, { what: "the statements to meet" });
}

const makeDue = () => store.sql("UPDATE paramedic.outbox SET due_at = now() WHERE due_at IS NOT NULL");

/** What was told stands, and nothing new is to be told. */
async function following(run: string): Promise<string> {
  const id = await put(run);
  await outbox.settle(await takeOne(), told({ shownSeq: 2, told: null }));
  expect(await row(id)).toMatchObject({ state: "following", due_in_ms: null });
  return id;
}

test("of many deliverers each message has one", async () => {
  const run = await storedRun(store);
  for (let index = 0; index < 40; index += 1) await put(run, { way: `way-${index}` });
  const others = Array.from({ length: 4 }, () => createOutbox(sameStore(store.url).database));
  const taken: string[] = [];
  for (let round = 0; round < 4; round += 1) {
    const each = await Promise.all(others.map((other) => other.take(30_000)));
    taken.push(...each.flat().map(({ id }) => id));
  }
  expect(taken).toHaveLength(40);
  expect(new Set(taken).size).toBe(40);
});

test("a message whose deliverer is gone is taken again when its lease is over, and the late one changes nothing", async () => {
  const run = await storedRun(store);
  const id = await put(run);
  const [first] = await outbox.take(200);
  expect(await outbox.take(200)).toEqual([]);
  const second = await until(async () => (await outbox.take(30_000))[0], { what: "the lease to end" });
  expect(second).toMatchObject({ id, attempts: 1, taken: 2, fence: (first as OutboxMessage).fence + 1 });
  expect(await outbox.settle(first as OutboxMessage, told())).toBe("lost");
  expect(await outbox.settle(first as OutboxMessage, failed())).toBe("lost");
  expect(await row(id)).toMatchObject({ state: "waiting", last_error: null });
  expect(await outbox.settle(second, told())).toBe("done");
});

test("first attempts by one way of one run go in order, one at a time; other ways and runs do not wait", async () => {
  const run = await storedRun(store);
  const first = await put(run);
  const second = await put(run, { level: 1 });
  const page = await put(run, { way: "pagerduty" });
  const elsewhere = await put(await storedRun(store));
  const taken = await outbox.take(30_000);
  expect(taken.map(({ id }) => id).sort()).toEqual([first, page, elsewhere].sort());
  expect(await outbox.take(30_000)).toEqual([]);
  const message = taken.find(({ id }) => id === first) as OutboxMessage;
  expect(await outbox.settle(message, failed())).toBe("again");
  // What has failed once is out of the queue: a dead mailbox must not silence the next level.
  expect((await takeOne()).id).toBe(second);
});

test("of each way as much is taken, however much is due by another one, and of one run and way one at a time", async () => {
  const run = await storedRun(store);
  for (let index = 0; index < 45; index += 1) await put(await storedRun(store));
  await put(run, { way: "slack" });
  await put(run, { way: "slack", level: 1 });
  const page = await put(run, { way: "pagerduty" });
  const taken = await outbox.take(30_000);
  const count = (way: string) => taken.filter((one) => one.way === way).length;
  expect([count("email"), count("slack"), count("pagerduty")]).toEqual([20, 1, 1]);
  expect(taken.map(({ id }) => id)).toContain(page);
  expect((await outbox.take(30_000, ["slack"])).map(({ way }) => way)).toEqual(Array(20).fill("email"));
});

test("who is to be woken, and what nobody was asked yet, comes before what only brings up to date", async () => {
  for (let index = 0; index < 45; index += 1) {
    const run = await storedRun(store);
    await put(run, { topic: "notify" });
    await put(run, { topic: "record", way: "slack" });
  }
  const page = await put(await storedRun(store));
  const question = await waitingQuestion();
  const taken = (await outbox.take(30_000)).map(({ id }) => id);
  expect(taken).toHaveLength(40);
  expect(taken).toEqual(expect.arrayContaining([page, question]));
});

test("ways that have enough to do are left out", async () => {
  const run = await storedRun(store);
  await put(run);
  const page = await put(run, { way: "pagerduty" });
  expect((await outbox.take(30_000, ["email"])).map(({ id }) => id)).toEqual([page]);
  expect(await outbox.take(30_000, ["email", "pagerduty"])).toEqual([]);
});

test("each failure waits longer, at least as long as the other side asks, and after the last one it is a dead letter", async () => {
  const run = await storedRun(store);
  const id = await put(run);
  for (const [index, delay] of deliveryDelaysMs.entries()) {
    const message = await takeOne();
    expect(message.attempts).toBe(index + 1);
    expect(await outbox.settle(message, failed({ retryAfterMs: index === 0 ? 9_000 : 1_000 }))).toBe("again");
    const { due_in_ms: dueInMs } = await row(id);
    const expected = index === 0 ? 9_000 : delay;
    expect(dueInMs).toBeGreaterThan(expected - 1_500);
    expect(dueInMs).toBeLessThanOrEqual(expected);
    expect(await outbox.troubles()).toEqual({ dead: 0, failing: 1 });
    expect(await outbox.take(30_000)).toEqual([]);
    await makeDue();
  }
  expect(await outbox.settle(await takeOne(), failed({ reason: "still busy" }))).toBe("dead");
  expect(await row(id)).toMatchObject({ state: "dead", due_in_ms: null, last_error: "still busy" });
  expect(await outbox.troubles()).toEqual({ dead: 1, failing: 0 });
  expect((await store.reads.events(run, 0)).at(-1)).toMatchObject({
    type: "not-told",
    way: "email",
    level: 1,
    topic: "handed-over",
    reason: "still busy",
  });
});

test("a refusal for the moment is no attempt, and the message comes back when it was told to; for an hour", async () => {
  await put(await storedRun(store));
  const due = () => store.sql("UPDATE paramedic.outbox SET due_at = now()");
  for (let refusal = 0; refusal < deliveryDelaysMs.length + 5; refusal++) {
    const message = await takeOne();
    expect(message.attempts).toBe(1);
    expect(await outbox.settle(message, failed({ throttled: true, retryAfterMs: 1_500 }))).toBe("again");
    const [row] = await store.sql("SELECT due_at < now() + interval '1600 ms' AS soon FROM paramedic.outbox");
    expect(row).toEqual({ soon: true });
    await due();
  }
  await store.sql("UPDATE paramedic.outbox SET created_at = now() - interval '61 min'");
  for (let attempt = 1; attempt <= deliveryDelaysMs.length; attempt++) {
    expect(await outbox.settle(await takeOne(), failed({ throttled: true, retryAfterMs: 1_500 }))).toBe("again");
    await due();
  }
  expect(await outbox.settle(await takeOne(), failed({ throttled: true, retryAfterMs: 1_500 }))).toBe("dead");
});

test("what stopped with its process is no attempt: the first failure after many of them is tried again", async () => {
  const run = await storedRun(store);
  const id = await put(run);
  const crash = () => store.sql("UPDATE paramedic.outbox SET lease_until = now() - interval '1 second'");
  for (let times = 0; times <= deliveryDelaysMs.length; times += 1) {
    await takeOne();
    await crash();
  }
  const message = await takeOne();
  expect(message).toMatchObject({ attempts: 1, taken: deliveryDelaysMs.length + 2 });
  expect(await outbox.settle(message, failed())).toBe("again");
  await makeDue();
  await takeOne();
  await crash();
  expect(await takeOne()).toMatchObject({ id, attempts: 2, taken: 2 });
});

test("what was told and can never be brought up to date is given up, and nobody is said not to have been told", async () => {
  const run = await storedRun(store);
  const id = await following(run);
  await appendFrom(run);
  const stuck = failed({ retryable: false, reason: "message_not_found", place: { ts: "1" }, shownSeq: 2 });
  expect(await outbox.settle(await takeOne(), stuck)).toBe("given-up");
  expect(await row(id)).toMatchObject({ state: "delivered", place: { ts: "1" } });
  expect((await store.reads.events(run, 0)).map(({ type }) => type)).not.toContain("not-told");
  expect(await outbox.troubles()).toEqual({ dead: 0, failing: 0 });
});

const appendFrom = (run: string) =>
  inTransaction(store.database.pool, (client) =>
    appendFromOutside(client, [{ runId: run, happening: { type: "alert-resolved", endsAt: null } }]),
  );

test("what follows its run is due again when the worker writes, and when somebody else does", async () => {
  const claimed = await claimedRun(store);
  const id = await following(claimed.id);
  expect(await outbox.take(30_000)).toEqual([]);
  const after = await write(store, claimed, [{ type: "set-aside", worker: "w" }]);
  const message = await takeOne();
  expect(message).toMatchObject({ id, attempts: 1, shownSeq: 2, place: { ts: "1" } });
  await outbox.settle(message, told({ shownSeq: after.lastSeq, told: null }));
  expect(await row(id)).toMatchObject({ state: "following", due_in_ms: null });
  await appendFrom(claimed.id);
  expect(await takeOne()).toMatchObject({ id, shownSeq: after.lastSeq });
});

test("a write that tells nothing new makes nothing due", async () => {
  const claimed = await claimedRun(store);
  const id = await following(claimed.id);
  await write(store, claimed, [], { state: "waiting", for: "target", dueAt: Date.now() });
  expect(await row(id)).toMatchObject({ due_in_ms: null });
});

test.each(["the worker", "somebody else"])(
  "what %s writes while a message is being delivered is told as well",
  async (who) => {
    const claimed = await claimedRun(store);
    const id = await put(claimed.id);
    const message = await takeOne();
    if (who === "the worker") await write(store, claimed, [{ type: "set-aside", worker: "w" }]);
    else await appendFrom(claimed.id);
    // What was delivered takes only the first event into account.
    expect(await outbox.settle(message, told({ shownSeq: 1, told: null }))).toBe("done");
    expect((await row(id)).due_in_ms).toBeLessThanOrEqual(0);
    expect(await takeOne()).toMatchObject({ id, shownSeq: 1 });
  },
);

test("whoever settles waits for a write that is not yet committed, and sees it", async () => {
  const run = await storedRun(store);
  const id = await put(run);
  const message = await takeOne();
  let settling: Promise<unknown> = Promise.resolve();
  await inTransaction(store.database.pool, async (client) => {
    await appendFromOutside(client, [{ runId: run, happening: { type: "alert-resolved", endsAt: null } }]);
    settling = outbox.settle(message, told({ shownSeq: 1, told: null }));
    settling.catch(() => {});
    await waiting(1);
  });
  expect(await settling).toBe("done");
  expect((await row(id)).due_in_ms).toBeLessThanOrEqual(0);
});

test("a write that has begun while somebody settles is told as well", async () => {
  const claimed = await claimedRun(store);
  const id = await put(claimed.id);
  const message = await takeOne();
  let both: Promise<readonly unknown[]> = Promise.resolve([]);
  await inTransaction(store.database.pool, async (client) => {
    await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [claimed.id]);
    const settling = outbox.settle(message, told({ shownSeq: 1, told: null }));
    await waiting(1);
    const writing = write(store, claimed, [{ type: "set-aside", worker: "w" }]);
    both = Promise.all([settling, writing]);
    both.catch(() => {});
    await waiting(2);
  });
  expect((await both)[0]).toBe("done");
  expect(await row(id)).toMatchObject({ state: "following" });
  expect((await row(id)).due_in_ms).toBeLessThanOrEqual(0);
});

test("what was told to the end is never due again", async () => {
  const run = await storedRun(store);
  const id = await put(run);
  await outbox.settle(await takeOne(), told({ done: true }));
  await appendFrom(run);
  expect(await row(id)).toMatchObject({ state: "delivered", due_in_ms: null });
  expect(await outbox.take(30_000)).toEqual([]);
});

test("dead letters of the last week are tried again by whoever starts next; an announcement of what is over is not", async () => {
  const run = await storedRun(store);
  const over = await claimedRun(store);
  await write(store, over, [{ type: "ended", outcome: "fixed", reason: "verified" }], {
    state: "ended",
    outcome: "fixed",
  });
  const ids = {
    mail: await put(run),
    announcement: await put(run, { topic: "announcement", way: "slack" }),
    late: await put(over.id, { topic: "announcement", way: "slack" }),
    old: await put(run, { way: "pagerduty" }),
  };
  for (const message of await outbox.take(30_000)) await outbox.settle(message, failed({ retryable: false }));
  expect(await outbox.troubles()).toEqual({ dead: 4, failing: 0 });
  await store.sql("UPDATE paramedic.outbox SET settled_at = now() - interval '8 days' WHERE id = $1", [ids.old]);
  expect(await outbox.troubles()).toEqual({ dead: 3, failing: 0 });

  const revived = await Promise.all([outbox.revive(), outbox.revive()]);
  expect(revived[0] + revived[1]).toBe(2);
  expect(await row(ids.mail)).toMatchObject({ state: "waiting", attempts: 0 });
  expect(await row(ids.announcement)).toMatchObject({ state: "waiting" });
  expect(await row(ids.late)).toMatchObject({ state: "withdrawn" });
  expect(await row(ids.old)).toMatchObject({ state: "dead" });
  expect(await outbox.take(30_000)).toHaveLength(2);
});

test("an acknowledgement settles the dead letters of what it acknowledges", async () => {
  const run = await storedRun(store);
  await store.sql("INSERT INTO paramedic.escalations (run_id, policy) VALUES ($1, 'ward')", [run]);
  await put(run);
  const other = await put(run, { topic: "notify" });
  await outbox.settle((await outbox.take(30_000))[0] as OutboxMessage, failed({ retryable: false }));
  await outbox.settle((await outbox.take(30_000))[0] as OutboxMessage, failed({ retryable: false }));
  expect(await outbox.troubles()).toEqual({ dead: 2, failing: 0 });
  await createEscalations(store.database, newId).acknowledge(run, "api:night");
  expect(await outbox.troubles()).toEqual({ dead: 1, failing: 0 });
  expect(await row(other)).toMatchObject({ state: "dead" });
});

/** A run that waits for approval, which nobody was asked for yet: its message in Slack. */
async function waitingQuestion(): Promise<string> {
  const claimed = await claimedRun(store);
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const asked = { step: "heal", digest: "d", effects: ["x"], reasons: ["risk-high" as const], expiresAt, atLeast: 1 };
  await write(store, claimed, [{ type: "approval-requested", approval: newId(), ...asked }], {
    state: "waiting",
    for: "approval",
    dueAt: Date.parse(expiresAt),
  });
  return put(claimed.id, { topic: "record", way: "slack" });
}

test("a place that names an approval says that people were asked for it", async () => {
  const claimed = await claimedRun(store);
  const approval = newId();
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const asked = { step: "heal", approval, digest: "d", effects: ["x"], reasons: ["risk-high" as const], expiresAt };
  await write(store, claimed, [{ type: "approval-requested", ...asked, atLeast: 1 }], {
    state: "waiting",
    for: "approval",
    dueAt: Date.parse(expiresAt),
  });
  await put(claimed.id, { topic: "record", way: "slack" });
  const askedAt = "SELECT asked_at IS NOT NULL AS asked FROM paramedic.approvals WHERE id = $1";
  expect(await store.sql(askedAt, [approval])).toEqual([{ asked: false }]);
  await outbox.settle(await takeOne(), told({ place: { channel: "C0", ts: "1", asked: approval } }));
  expect(await store.sql(askedAt, [approval])).toEqual([{ asked: true }]);
  expect(await outbox.recordPlace(claimed.id)).toEqual({ channel: "C0", ts: "1", asked: approval });
  expect(await outbox.recordPlace(await storedRun(store))).toBeNull();
});

test("what a step reports is to be told by each way, once, in the write that says it is done", async () => {
  let run = await claimedRun(store);
  run = await write(store, run, [happened.reported("say"), happened.finished("other")]);
  await write(store, run, [happened.reported("say"), happened.reported("also", ["email"])]);
  const taken = await outbox.take(30_000);
  // One at a time by each way.
  expect(taken).toMatchObject([
    { runId: run.id, topic: "report", about: "say", policy: "monitoring" },
    { runId: run.id, topic: "report", about: "say", policy: "monitoring" },
  ]);
  expect(taken.map(({ way }) => way).sort()).toEqual(["email", "slack"]);
  for (const message of taken) await outbox.settle(message, told({ done: true }));
  expect(await outbox.take(30_000)).toMatchObject([{ about: "also", way: "email" }]);
  expect((await store.reads.events(run.id, 0)).slice(-2)).toMatchObject([
    { type: "told", topic: "report", about: "say", to: "somebody" },
    { type: "told", topic: "report", about: "say", to: "somebody" },
  ]);
});
