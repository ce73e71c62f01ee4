/** Escalations on the real store: what they wait for, that they begin anew for the next question, and how long an unknown policy is waited for. */

import type pg from "pg";
import type { Happening } from "../../src/domain/event.ts";
import { noticeOf, subjectOf } from "../../src/oncall/notice.ts";
import { type Database, inTransaction } from "../../src/store/connect.ts";
import { createEscalations } from "../../src/store/escalations.ts";
import { createOutbox } from "../../src/store/outbox.ts";
import { createUnasked, type UnaskedApproval } from "../../src/store/unasked.ts";
import { messageOf } from "../oncall/notices.ts";
import {
  appendOf,
  claimedRun,
  claimOf,
  closeStores,
  incoming,
  newId,
  newStore,
  sameStore,
  type TestStore,
  write,
} from "../support/store.ts";
import { until } from "../support/until.ts";

let store: TestStore;

beforeEach(async () => {
  store = await newStore();
});

afterAll(closeStores);

const levels = () => [
  { afterMs: 0, ways: ["pagerduty"] },
  { afterMs: 900_000, ways: ["email"] },
];
const escalations = () => createEscalations(store.database, newId);
const advance = () => escalations().advance(levels);

const handingOver: readonly Happening[] = [
  { type: "escalated", policy: "ward", reason: "it did not help" },
  { type: "ended", outcome: "ineffective", reason: "it did not help" },
];
const ended = { state: "ended", outcome: "ineffective" } as const;

const escalation = async () => (await store.sql("SELECT * FROM paramedic.escalations"))[0];
const messages = () => store.sql("SELECT topic, about, state FROM paramedic.outbox ORDER BY created_at, id");

/** A run that waits for an approval for which nobody could be asked. */
async function waiting(approval: string) {
  return asks(await claimedRun(store), approval);
}

async function asks(run: Awaited<ReturnType<typeof claimedRun>>, approval: string) {
  const expiresAt = new Date(Date.now() + 600_000).toISOString();
  const of = {
    step: "heal",
    approval,
    digest: `digest of ${approval}`,
    effects: ["x"],
    reasons: ["risk-high" as const],
  };
  const asked = await write(store, run, [{ type: "approval-requested", ...of, expiresAt, atLeast: 1 }], {
    state: "waiting",
    for: "approval",
    dueAt: Date.parse(expiresAt),
  });
  const unasked = createUnasked(store.database);
  const one = (await unasked.find(-1)).find(({ id }) => id === approval);
  expect(await unasked.escalate(one as UnaskedApproval, "ward", "nobody could be asked")).toBe(true);
  return asked;
}

/** Delivers what waits. */
async function deliver(shownSeq = 99): Promise<void> {
  const outbox = createOutbox(store.database);
  for (const message of await outbox.take(30_000)) {
    await outbox.settle(message, { ok: true, place: { sent: true }, shownSeq, told: "PagerDuty", done: false });
  }
}

function answer(approval: string) {
  const given = {
    approval,
    decision: "approve",
    digest: `digest of ${approval}`,
    by: "slack:UANNA",
    reason: null,
  } as const;
  return store.approvals.answer(given);
}

const blockedIn = (database: Database) =>
  database.people.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'");

/** The store of another worker whose `advance` holds its escalation, and inserts messages once another statement waits for it. */
function slowStore(): TestStore {
  const other = sameStore(store.url);
  const { pool } = other.database;
  const connect = pool.connect.bind(pool) as (callback?: unknown) => Promise<pg.PoolClient>;
  const slowly = async (callback?: unknown) => {
    // A statement outside of a transaction.
    if (callback) return connect(callback);
    const client = await connect();
    const query = client.query.bind(client) as (...args: readonly unknown[]) => unknown;
    const slow = async (...args: readonly unknown[]) => {
      if (String(args[0]).includes("INSERT INTO paramedic.outbox")) {
        await until(async () => (await blockedIn(store.database)).rowCount === 1, { what: "the two to meet" });
        // Sooner than Postgres looks for a deadlock, which is after a second: this one would lose it.
        await query("SET LOCAL lock_timeout = '300ms'");
      }
      return query(...args);
    };
    client.query = slow as typeof client.query;
    return client;
  };
  pool.connect = slowly as typeof pool.connect;
  return other;
}

const holding = async () =>
  (
    await store.sql(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%FOR UPDATE OF e%'",
    )
  ).length === 1;

test.each(["approval-unasked", "held", "handed-over"])(
  "a level that comes due (%s) and the write that hands the run over do not block each other",
  async (topic) => {
    const run = await claimedRun(store);
    await store.sql("INSERT INTO paramedic.escalations (run_id, policy, topic) VALUES ($1, 'ward', $2)", [
      run.id,
      topic,
    ]);
    await store.sql(
      `INSERT INTO paramedic.approvals (id, run_id, step, digest, effects, reasons, at_least, expires_at)
       VALUES ($1, $2, 'heal', 'd', '[]', '[]', 1, now() + interval '1 hour')`,
      [newId(), run.id],
    );
    const advancing = createEscalations(slowStore().database, newId).advance(levels);
    advancing.catch(() => {});
    await until(holding, { what: "the escalation to be held" });
    expect(await store.append(appendOf(run, handingOver, ended))).toMatchObject({ kind: "written" });
    expect(await advancing).toMatchObject({ due: 1, unknown: [] });
    expect(await escalation()).toMatchObject({ topic: "handed-over" });
    expect((await messages()).map((row) => row["topic"])).toEqual([topic]);
  },
);

test("a level that comes due and an alert that resolves do not block each other", async () => {
  const [accepted] = [await store.receive([incoming()])];
  expect(accepted).toBeDefined();
  const [row] = await store.sql("SELECT id FROM paramedic.runs");
  await write(store, await claimOf(store, row?.["id"] as string), handingOver, ended);
  const advancing = createEscalations(slowStore().database, newId).advance(levels);
  advancing.catch(() => {});
  await until(holding, { what: "the escalation to be held" });
  await store.receive([incoming({ status: "resolved", endsAt: new Date().toISOString() })]);
  expect(await advancing).toMatchObject({ due: 1, unknown: [] });
  expect(await escalation()).toMatchObject({ recheck_at: expect.any(Date) });
});

test("a write that Postgres undoes to end a deadlock is made once more", async () => {
  const run = await claimedRun(store);
  await store.sql("INSERT INTO paramedic.escalations (run_id, policy, topic) VALUES ($1, 'ward', 'held')", [run.id]);
  let writing: Promise<unknown> = Promise.resolve();
  await inTransaction(sameStore(store.url).database.pool, async (client) => {
    // Whoever looks for the deadlock first is the one that is undone.
    await client.query("SET LOCAL deadlock_timeout = '60s'");
    await client.query("SELECT FROM paramedic.escalations WHERE run_id = $1 FOR UPDATE", [run.id]);
    writing = store.append(appendOf(run, handingOver, ended));
    writing.catch(() => {});
    await until(async () => (await blockedIn(store.database)).rowCount === 1, { what: "the two to meet" });
    await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR UPDATE", [run.id]);
  });
  expect(await writing).toMatchObject({ kind: "written" });
  expect((await store.reads.events(run.id, 0)).map(({ type }) => type)).toEqual(["created", "escalated", "ended"]);
  expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
});

describe("a second question of one run", () => {
  /** The first question is answered, and what it asked for is not what would change any more. */
  async function asksAgain(first: string, second: string) {
    const run = await waiting(first);
    await advance();
    return async () => {
      await answer(first);
      const again = await claimOf(store, run.id);
      const voided = { type: "approval-voided", step: "heal", approval: first, reason: "another plan" } as const;
      await asks(await write(store, again, [voided]), second);
      await advance();
      return run.id;
    };
  }

  test("is told, with the approval that waits now, where the first one was", async () => {
    const [first, second] = [newId(), newId()];
    const goOn = await asksAgain(first, second);
    await deliver();
    const id = await goOn();
    expect(await messages()).toEqual([
      { topic: "approval-unasked", about: first, state: "following" },
      { topic: "approval-unasked", about: second, state: "waiting" },
    ]);
    const around = { summary: null, publicUrl: null, listenUrl: "http://127.0.0.1:9" };
    const subject = subjectOf(id, await store.reads.events(id, 0), around);
    if (!subject) throw new Error("the run is not known");
    const { actions } = noticeOf(messageOf({ topic: "approval-unasked" }), subject, 2);
    expect(actions.map(({ request }) => request)).toEqual([
      expect.stringContaining(`/approvals/${second}`),
      expect.stringContaining(`/approvals/${second}`),
    ]);
  });

  test("withdraws the message about the first one that nobody has got", async () => {
    const [first, second] = [newId(), newId()];
    await (await asksAgain(first, second))();
    expect(await messages()).toEqual([
      { topic: "approval-unasked", about: first, state: "withdrawn" },
      { topic: "approval-unasked", about: second, state: "waiting" },
    ]);
  });
});

describe("what an acknowledgement is good for", () => {
  test("who has a question does not have the failure that comes after it: people are told", async () => {
    const approval = newId();
    const { id } = await waiting(approval);
    await advance();
    await deliver();
    expect(await escalations().acknowledge(id, "slack:UANNA")).toMatchObject({ kind: "acknowledged" });
    await answer(approval);
    await write(store, await claimOf(store, id), handingOver, ended);
    expect(await escalation()).toMatchObject({ topic: "handed-over", acknowledged_by: null, acknowledged_at: null });
    expect(await advance()).toMatchObject({ due: 1 });
    expect((await messages()).map((row) => `${row["topic"]} ${row["state"]}`)).toEqual([
      "approval-unasked following",
      "handed-over waiting",
    ]);
    expect(await escalations().acknowledge(id, "slack:UBERT")).toEqual({ kind: "acknowledged", by: "slack:UBERT" });
  });

  test("who has a held page has what comes of it: nobody else is told", async () => {
    const run = await claimedRun(store);
    await store.sql("INSERT INTO paramedic.escalations (run_id, policy, topic) VALUES ($1, 'ward', 'held')", [run.id]);
    await advance();
    await deliver();
    await escalations().acknowledge(run.id, "slack:UANNA");
    const { lastSeq, lastHash } = await store.sql("SELECT last_seq, last_hash FROM paramedic.runs").then(([row]) => ({
      lastSeq: row?.["last_seq"] as number,
      lastHash: row?.["last_hash"] as Buffer,
    }));
    await write(store, { ...run, lastSeq, lastHash }, handingOver, ended);
    expect(await escalation()).toMatchObject({ topic: "handed-over", acknowledged_by: "slack:UANNA" });
    expect(await advance()).toMatchObject({ due: 0 });
    expect((await messages()).map((row) => row["topic"])).toEqual(["held"]);
  });
});

describe("a policy that this worker does not know, at a later level", () => {
  const unknown = () => escalations().advance(() => null);
  const later = (what: string) =>
    store.sql(`UPDATE paramedic.escalations SET due_at = now() - interval '1 s', ${what}`);

  /** The first level was told a quarter of an hour ago; the second is due. */
  async function secondLevel(): Promise<string> {
    const run = await claimedRun(store);
    await write(store, run, handingOver, ended);
    await advance();
    await later("began_at = began_at - interval '15 min 1 s'");
    return run.id;
  }

  test("is left to a worker that knows it, however long ago people were told first", async () => {
    const runId = await secondLevel();
    expect(await unknown()).toEqual({ due: 1, unknown: [{ runId, policy: "ward", givenUp: false }] });
    await later("unknown_since = unknown_since - interval '9 min 50 s'");
    expect(await unknown()).toMatchObject({ unknown: [{ givenUp: false }] });
    await later("policy = policy");
    expect(await advance()).toEqual({ due: 1, unknown: [] });
    expect(await store.sql("SELECT way FROM paramedic.outbox ORDER BY level")).toEqual([
      { way: "pagerduty" },
      { way: "email" },
    ]);
    expect(await escalation()).toMatchObject({ unknown_since: null });
  });

  test("is given up ten minutes after it was first unknown, and the history says so", async () => {
    const runId = await secondLevel();
    await unknown();
    await later("unknown_since = unknown_since - interval '10 min 1 s'");
    expect(await unknown()).toEqual({ due: 1, unknown: [{ runId, policy: "ward", givenUp: true }] });
    expect(await escalation()).toMatchObject({ due_at: null });
    expect((await store.reads.events(runId, 0)).at(-1)).toMatchObject({ type: "not-told", level: 2 });
  });

  const troubles = () => createOutbox(store.database).troubles();
  const forget = () => store.sql("DELETE FROM paramedic.outbox");

  async function givenUp(): Promise<string> {
    const runId = await secondLevel();
    await forget();
    await unknown();
    await later("unknown_since = unknown_since - interval '10 min 1 s'");
    await unknown();
    return runId;
  }

  test("counts as failing while it is waited for, and as a dead letter once it is given up", async () => {
    await secondLevel();
    await forget();
    expect(await troubles()).toEqual({ dead: 0, failing: 0 });
    await unknown();
    expect(await troubles()).toEqual({ dead: 0, failing: 1 });
    await later("unknown_since = unknown_since - interval '10 min 1 s'");
    await unknown();
    expect(await troubles()).toEqual({ dead: 1, failing: 0 });
    await store.sql("UPDATE paramedic.escalations SET unknown_since = now() - interval '8 days'");
    expect(await troubles()).toEqual({ dead: 0, failing: 0 });
  });

  test("is a trouble no more once somebody has it, or it is over", async () => {
    await escalations().acknowledge(await givenUp(), "api:night");
    expect(await troubles()).toEqual({ dead: 0, failing: 0 });
    await store.sql("UPDATE paramedic.escalations SET acknowledged_at = NULL, acknowledged_by = NULL");
    expect(await troubles()).toEqual({ dead: 1, failing: 0 });
    await store.sql("UPDATE paramedic.escalations SET topic = 'held'");
    expect(await troubles()).toEqual({ dead: 0, failing: 0 });
    await store.sql("UPDATE paramedic.escalations SET topic = 'handed-over', recovered_at = now()");
    expect(await troubles()).toEqual({ dead: 0, failing: 0 });
  });

  test("is told by the next start that knows the policy", async () => {
    await givenUp();
    expect(await createOutbox(store.database).revive()).toBe(1);
    expect(await troubles()).toEqual({ dead: 0, failing: 0 });
    expect(await advance()).toEqual({ due: 1, unknown: [] });
    expect(await store.sql("SELECT way FROM paramedic.outbox")).toEqual([{ way: "email" }]);
    expect(await createOutbox(store.database).revive()).toBe(0);
  });

  test("what is due and nobody looks at is failing after two minutes", async () => {
    await secondLevel();
    await forget();
    await store.sql("UPDATE paramedic.escalations SET due_at = now() - interval '119 s'");
    expect(await troubles()).toEqual({ dead: 0, failing: 0 });
    await store.sql("UPDATE paramedic.escalations SET due_at = now() - interval '121 s'");
    expect(await troubles()).toEqual({ dead: 0, failing: 1 });
  });
});
