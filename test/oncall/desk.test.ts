/** Handing over to people, on the real store: who is told when, that it is told, and that it stops when somebody has it. */

import { deliveryDelaysMs, type Level } from "../../src/domain/escalation.ts";
import type { Rounds } from "../../src/domain/rounds.ts";
import { newId } from "../../src/ids.ts";
import { type DeskOptions, openDesk } from "../../src/oncall/desk.ts";
import { followNotice } from "../../src/oncall/follow-notice.ts";
import { subjectOf } from "../../src/oncall/notice.ts";
import type { Delivered, Message, Notice } from "../../src/oncall/way.ts";
import { inTransaction } from "../../src/store/connect.ts";
import { createEscalations } from "../../src/store/escalations.ts";
import { createOutbox, type OutboxMessage } from "../../src/store/outbox.ts";
import { createSpine, playbookYaml, type Spine } from "../support/spine.ts";
import { until } from "../support/until.ts";

let spine: Spine;
let desks: Rounds[] = [];

/** What reached people, in order. */
let told: { way: string; level: number; notice: Notice }[] = [];

const twoLevels: readonly Level[] = [
  { afterMs: 0, ways: ["email"] },
  { afterMs: 600, ways: ["email", "pagerduty"] },
];

beforeEach(async () => {
  spine = await createSpine({
    playbooks: [playbookYaml({ extra: "escalate: ward" })],
    patient: { curable: false },
  });
  told = [];
  desks = [];
});

afterEach(async () => {
  await Promise.all(desks.map((desk) => desk.stop()));
  await spine.close();
});

const escalations = () => createEscalations(spine.database, newId);
const outbox = () => createOutbox(spine.database);

function open(
  overrides: Partial<DeskOptions> = {},
  deliver: (message: Message, notice: Notice) => Promise<Delivered> | Delivered = () => ({ ok: true }),
): Rounds {
  const desk = openDesk({
    store: { ...escalations(), ...outbox() },
    levelsOf: () => twoLevels,
    reach: (message) =>
      followNotice({
        deliver: async (notice) => {
          const answer = await deliver(message, notice);
          if (answer.ok) told.push({ way: message.way, level: message.level, notice });
          return answer;
        },
        to: message.way,
        told: `the ${message.way} people`,
        levels: () => 2,
        tells: { acknowledged: false, recovered: true },
      }),
    subject: async ({ runId: run }) =>
      subjectOf(run, await spine.events(run), { summary: null, publicUrl: "https://p", listenUrl: "http://l" }),
    log: { info: () => {}, warn: () => {}, error: () => {} },
    metrics: { noticeDelivered: () => {}, noticeFailed: () => {} },
    everyMs: 50,
    ...overrides,
  });
  desks.push(desk);
  return desk;
}

async function handedOver(): Promise<string> {
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  return run;
}

const happened = async (run: string, type: string) => (await spine.events(run)).filter((event) => event.type === type);

const dueNow = () => spine.database.pool.query("UPDATE paramedic.escalations SET due_at = now()");

function loggedErrors() {
  const errors: object[] = [];
  const log = { info() {}, warn() {}, error: (fields: object, message: string) => errors.push({ ...fields, message }) };
  return { errors, log };
}

test("a run that could not heal reaches the first level at once and the next one in its time, with what was tried", async () => {
  const run = await handedOver();
  open();
  await until(() => told.length === 1, { what: "the first level to be told" });
  expect(told[0]).toMatchObject({
    way: "email",
    level: 0,
    notice: { run, outcome: "ineffective", playbook: "heal-ward", target: "ward", level: 1, levels: 2 },
  });
  expect(told[0]?.notice.story.map(({ type }) => type)).toContain("step-finished");
  await until(() => told.length === 3, { what: "the second level to be told" });
  expect(told.map(({ way, level }) => `${way} ${level}`).sort()).toEqual(["email 0", "email 1", "pagerduty 1"]);
  await until(async () => (await happened(run, "told")).length === 3, { what: "the history to say so" });
  expect(await spine.reads.firstBrokenEvent(run)).toBeNull();
});

test("a run that heals tells nobody", async () => {
  spine.patient.curable = true;
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  expect(await escalations().advance(() => twoLevels)).toEqual({ due: 0, unknown: [] });
});

test("who acknowledges has it: later levels are not told, and a second one learns who it is", async () => {
  const run = await handedOver();
  open();
  await until(() => told.length === 1, { what: "the first level to be told" });
  expect(await escalations().acknowledge(run, "api:night")).toEqual({ kind: "acknowledged", by: "api:night" });
  expect(await escalations().acknowledge(run, "api:day")).toEqual({ kind: "already-acknowledged", by: "api:night" });
  expect(await happened(run, "acknowledged")).toMatchObject([{ by: "api:night" }]);
  const { rows } = await spine.database.pool.query(
    "SELECT FROM paramedic.escalations WHERE run_id = $1 AND due_at < now() - interval '200 ms'",
    [run],
  );
  await until(
    async () =>
      (
        await spine.database.pool.query(
          "SELECT FROM paramedic.escalations WHERE run_id = $1 AND due_at < now() - interval '200 ms'",
          [run],
        )
      ).rowCount === 1,
    { what: "the time of the second level to pass" },
  );
  expect(rows).toHaveLength(0);
  expect(told).toHaveLength(1);
});

test("only what was handed over can be acknowledged", async () => {
  spine.patient.curable = true;
  const run = await spine.start();
  await spine.settle(run);
  expect(await escalations().acknowledge(run, "api:x")).toEqual({ kind: "not-escalated" });
  expect(await escalations().acknowledge(newId(), "api:x")).toEqual({ kind: "not-found" });
});

test("a message that cannot be delivered is tried again, in order, until it is", async () => {
  const run = await handedOver();
  let failures = 1;
  open({ levelsOf: () => [{ afterMs: 0, ways: ["email"] }] }, () => {
    failures -= 1;
    return failures >= 0 ? { ok: false, reason: "the server is busy", retryable: true } : { ok: true };
  });
  await until(() => told.length === 1, { what: "the second attempt", timeoutMs: 20_000 });
  await until(async () => (await happened(run, "told")).length === 1);
  const { rows } = await spine.database.pool.query("SELECT state, fence >= 2 AS again FROM paramedic.outbox");
  expect(rows).toEqual([{ state: "following", again: true }]);
});

test("a level that cannot be reached does not silence the next one", async () => {
  await handedOver();
  open({}, (message) =>
    message.level === 0 ? { ok: false, reason: "the mailbox does not answer", retryable: true } : { ok: true },
  );
  await until(() => told.some(({ way, level }) => way === "email" && level === 1), {
    what: "the second level to be told",
  });
  const { rows } = await spine.database.pool.query("SELECT state FROM paramedic.outbox WHERE level = 0");
  expect(rows).toEqual([{ state: "waiting" }]);
});

test("a first message that has failed comes later, after the next one, and says what is so by then", async () => {
  const run = await handedOver();
  let isDown = true;
  open({}, ({ level }) =>
    level === 0 && isDown ? { ok: false, reason: "the mailbox does not answer", retryable: true } : { ok: true },
  );
  await until(() => told.some(({ way, level }) => way === "email" && level === 1), { what: "the second level" });
  isDown = false;
  await until(() => told.some(({ way, level }) => way === "email" && level === 0), {
    what: "the first level, tried again",
    timeoutMs: 20_000,
  });
  expect(told.filter(({ way }) => way === "email").map(({ level }) => level)).toEqual([1, 0]);
  expect(told.at(-1)?.notice.story.map(({ type }) => type)).toContain("told");
  await until(async () => (await happened(run, "told")).length === 3, { what: "the history to say so" });
});

test("what can never be delivered is a dead letter that is counted and told in the history", async () => {
  const run = await handedOver();
  open({ levelsOf: () => [{ afterMs: 0, ways: ["email"] }] }, () => ({
    ok: false,
    reason: "no such mailbox",
    retryable: false,
  }));
  await until(async () => (await happened(run, "not-told")).length === 1, { what: "the dead letter" });
  expect(await happened(run, "not-told")).toMatchObject([{ way: "email", level: 1, reason: "no such mailbox" }]);
  expect(await outbox().troubles()).toEqual({ dead: 1, failing: 0 });
});

const kept = async () =>
  (
    await spine.database.pool.query(
      "SELECT state, attempts, last_error, lease_until, due_at > now() AS later FROM paramedic.outbox ORDER BY id",
    )
  ).rows;

test("a run that cannot be read is a failure like any other: tried again later, with its reason", async () => {
  await handedOver();
  open({
    levelsOf: () => [{ afterMs: 0, ways: ["email"] }],
    subject: async () => {
      throw new Error("no such\u0000\nthing");
    },
  });
  await until(async () => (await kept())[0]?.last_error, { what: "the failure to be recorded" });
  expect(await kept()).toEqual([
    {
      state: "waiting",
      attempts: 1,
      last_error: expect.stringContaining("no such thing"),
      lease_until: null,
      later: true,
    },
  ]);
});

test("a reason that Postgres cannot store is stored as it can be", async () => {
  await handedOver();
  open({ levelsOf: () => [{ afterMs: 0, ways: ["email"] }] }, () => ({
    ok: false,
    reason: "a\u0000b\nc",
    retryable: true,
  }));
  await until(async () => (await kept())[0]?.last_error, { what: "the failure to be recorded" });
  expect(await kept()).toMatchObject([{ state: "waiting", last_error: "a b c", later: true }]);
});

test("what cannot be recorded as told is recorded as a failure, and not taken for ever", async () => {
  await handedOver();
  const store = { ...escalations(), ...outbox() };
  open({
    levelsOf: () => [{ afterMs: 0, ways: ["email"] }],
    store: {
      ...store,
      settle: (message, followed) =>
        followed.ok
          ? Promise.reject(new Error("invalid input syntax"))
          : store.settle(message as OutboxMessage, followed),
    },
  });
  await until(async () => (await kept())[0]?.last_error, { what: "the failure to be recorded" });
  expect(await kept()).toMatchObject([{ attempts: 1, last_error: expect.stringContaining("invalid input syntax") }]);
});

test("what has stopped whoever took it too often is a dead letter, and the history says so", async () => {
  const run = await handedOver();
  await escalations().advance(() => [{ afterMs: 0, ways: ["email"] }]);
  for (let times = 0; times < deliveryDelaysMs.length + 4; times += 1) {
    expect(await outbox().take(30_000)).toHaveLength(1);
    await spine.database.pool.query("UPDATE paramedic.outbox SET lease_until = now()");
  }
  open({ levelsOf: () => [] });
  await until(async () => (await happened(run, "not-told")).length === 1, { what: "the dead letter" });
  expect(await happened(run, "not-told")).toMatchObject([{ reason: expect.stringContaining("has stopped each time") }]);
  expect(told).toEqual([]);
});

test("what is in the outbox is delivered while the levels cannot be looked through", async () => {
  await handedOver();
  await escalations().advance(() => twoLevels);
  const advance = () => Promise.reject(new Error("deadlock detected"));
  open({ store: { ...escalations(), ...outbox(), advance } });
  await until(() => told.length === 1, { what: "the first level to be told" });
});

test("many desks tell each level once", async () => {
  await handedOver();
  for (let desk = 0; desk < 6; desk += 1) open({ everyMs: 5 });
  await until(() => told.length === 3, { what: "both levels to be told" });
  await until(
    async () =>
      (await spine.database.pool.query("SELECT FROM paramedic.outbox WHERE state = 'following'")).rowCount === 3,
    { what: "all to be recorded" },
  );
  expect(told).toHaveLength(3);
});

test("a message whose deliverer was killed is delivered by the next one", async () => {
  const run = await handedOver();
  await escalations().advance(() => twoLevels);
  const taken = await outbox().take(100);
  expect(taken).toHaveLength(1);
  expect(await outbox().take(100)).toEqual([]);
  open();
  await until(() => told.some(({ notice }) => notice.run === run), { what: "the message to be delivered" });
  // The one that was killed comes back to life: what it says about its message counts no more.
  const late = { ok: true, place: null, shownSeq: 1, told: "somebody else", done: true } as const;
  expect(await outbox().settle(taken[0] as OutboxMessage, late)).toBe("lost");
  expect((await happened(run, "told")).filter((event) => "to" in event && event.to === "somebody else")).toEqual([]);
});

test("a worker that does not know the policy says so, and leaves the escalation to one that does", async () => {
  const run = await handedOver();
  const { errors, log } = loggedErrors();
  const ignorant = open({ levelsOf: () => null, log });
  await until(() => errors.length === 1, { what: "the worker to complain" });
  await ignorant.stop();
  expect(errors).toEqual([
    expect.objectContaining({ run, policy: "ward", message: expect.stringContaining("waits for a worker") }),
  ]);
  const inSeconds = "extract(epoch FROM due_at - now())::float8 AS seconds";
  const { rows } = await spine.database.pool.query(`SELECT next_level, ${inSeconds} FROM paramedic.escalations`);
  expect(rows).toEqual([{ next_level: 0, seconds: expect.any(Number) }]);
  expect(rows[0].seconds).toBeGreaterThan(20);
  expect(rows[0].seconds).toBeLessThan(31);
  expect(await happened(run, "not-told")).toEqual([]);
  await dueNow();
  open();
  await until(() => told.length === 1, { what: "the first level to be told" });
});

test("a policy that no worker knows for ten minutes is given up, and the run's history says so once", async () => {
  const run = await handedOver();
  const { errors, log } = loggedErrors();
  await spine.database.pool.query("UPDATE paramedic.escalations SET unknown_since = now() - interval '11 minutes'");
  for (let desk = 0; desk < 3; desk += 1) open({ levelsOf: () => null, log });
  await until(async () => (await happened(run, "not-told")).length > 0, { what: "the history to say so" });
  expect(await happened(run, "not-told")).toMatchObject([
    { way: "escalation", level: 1, reason: expect.stringMatching(/policy 'ward' is not configured.*tell people/) },
  ]);
  await until(() => errors.length > 0, { what: "the error to be logged" });
  expect(errors).toEqual([expect.objectContaining({ run, message: expect.stringContaining("nobody was told") })]);
  const { rows } = await spine.database.pool.query("SELECT due_at FROM paramedic.escalations");
  expect(rows).toEqual([{ due_at: null }]);
  expect(await escalations().advance(() => null)).toEqual({ due: 0, unknown: [] });
  expect(await spine.reads.firstBrokenEvent(run)).toBeNull();
});

test("an acknowledgement and a level that comes due at the same time do not block each other", async () => {
  const run = await handedOver();
  let acknowledging: Promise<unknown> = Promise.resolve();
  await inTransaction(spine.database.pool, async (client) => {
    await client.query("SELECT FROM paramedic.escalations WHERE run_id = $1 FOR UPDATE", [run]);
    acknowledging = escalations().acknowledge(run, "api:night");
    acknowledging.catch(() => {});
    const blocked = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    await until(async () => (await spine.database.pool.query(blocked)).rowCount === 1, { what: "the two to meet" });
    await client.query(
      "INSERT INTO paramedic.outbox (id, run_id, way, policy, level) VALUES ($1, $2, 'email', 'ward', 0)",
      [newId(), run],
    );
  });
  expect(await acknowledging).toEqual({ kind: "acknowledged", by: "api:night" });
  const { rows } = await spine.database.pool.query("SELECT state FROM paramedic.outbox");
  expect(rows).toEqual([{ state: "withdrawn" }]);
});

test.each([true, false])(
  "what fails after somebody acknowledged is withdrawn and not tried again (retryable: %s)",
  async (retryable) => {
    const run = await handedOver();
    await escalations().advance(() => twoLevels);
    const [message] = await outbox().take(30_000);
    await escalations().acknowledge(run, "api:night");
    const failure = { ok: false, reason: "the server is busy", retryable, place: null, shownSeq: 0 } as const;
    expect(await outbox().settle(message as OutboxMessage, failure)).toBe("withdrawn");
    const { rows } = await spine.database.pool.query(
      "SELECT state, last_error, lease_until, settled_at IS NOT NULL AS settled FROM paramedic.outbox",
    );
    expect(rows).toEqual([{ state: "withdrawn", last_error: "the server is busy", lease_until: null, settled: true }]);
    expect(await happened(run, "not-told")).toEqual([]);
    expect(await outbox().troubles()).toEqual({ dead: 0, failing: 0 });
  },
);

test("a desk whose delivery fails after the acknowledgement counts no failure and complains to nobody", async () => {
  const run = await handedOver();
  const { errors, log } = loggedErrors();
  const counted: string[] = [];
  const desk = open(
    { log, metrics: { noticeDelivered: () => {}, noticeFailed: (way, result) => counted.push(`${way} ${result}`) } },
    async () => {
      await escalations().acknowledge(run, "api:night");
      return { ok: false, reason: "the server is busy", retryable: true };
    },
  );
  await until(
    async () =>
      (await spine.database.pool.query("SELECT FROM paramedic.outbox WHERE state = 'withdrawn'")).rowCount === 1,
    { what: "the message to be withdrawn" },
  );
  await desk.stop();
  expect({ counted, errors }).toEqual({ counted: [], errors: [] });
});

test("an escalation that was due while nobody was there is told by the first desk that opens", async () => {
  const run = await handedOver();
  await spine.database.pool.query("UPDATE paramedic.escalations SET began_at = now() - interval '1 hour'");
  open();
  await until(() => told.length === 3, { what: "both levels to be told" });
  expect(new Set(told.map(({ notice }) => notice.run))).toEqual(new Set([run]));
});
