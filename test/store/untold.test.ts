/** What the heartbeat is withheld for: an escalation that has reached nobody, for some time, and nothing less. */

import type { Followed } from "../../src/domain/followed.ts";
import { createEscalations } from "../../src/store/escalations.ts";
import { createOutbox, type OutboxMessage } from "../../src/store/outbox.ts";
import { createUntold } from "../../src/store/untold.ts";
import { claimedRun, closeStores, newId, newStore, type TestStore, write } from "../support/store.ts";

let store: TestStore;

beforeEach(async () => {
  store = await newStore();
});

afterAll(closeStores);

const none = { dead: 0, failing: 0, oldestSeconds: 0 };
const untold = () => createUntold(store.database)();
const escalations = () => createEscalations(store.database, newId);
const take = () => createOutbox(store.database).take(30_000);
const settle = (message: OutboxMessage, followed: Followed) => createOutbox(store.database).settle(message, followed);

const told: Followed = { ok: true, place: { sent: ["handed-over"] }, shownSeq: 2, told: "the dba", done: false };
const fails: Followed = { ok: false, reason: "it is down", retryable: true, place: null, shownSeq: 0 };
const refused: Followed = { ...fails, reason: "550 no such mailbox", retryable: false };
const throttled: Followed = { ...fails, reason: "429", throttled: true };

/** A run that was handed over, with what is to be told of it, by each way, taken. */
async function handedOver(
  ways: readonly string[],
): Promise<{ readonly run: string; readonly taken: readonly OutboxMessage[] }> {
  const claimed = await claimedRun(store);
  const reason = "it did not help";
  await write(
    store,
    claimed,
    [
      { type: "escalated", policy: "ward", reason },
      { type: "ended", outcome: "ineffective", reason },
    ],
    { state: "ended", outcome: "ineffective" },
  );
  await escalations().advance(() => [{ afterMs: 0, ways }]);
  const taken = (await take()).filter(({ runId }) => runId === claimed.id);
  expect(taken).toHaveLength(ways.length);
  return { run: claimed.id, taken };
}

/** As if it had all begun so long ago. */
const ago = (time: string) =>
  store.sql(
    `UPDATE paramedic.outbox SET created_at = created_at - interval '${time}', due_at = due_at - interval '${time}'`,
  );

async function settleAll(taken: readonly OutboxMessage[], ...how: readonly Followed[]): Promise<void> {
  for (const [index, message] of taken.entries()) await settle(message, how[index % how.length] as Followed);
}

test("what fails counts once it has reached nobody for a minute", async () => {
  const { taken } = await handedOver(["email", "pagerduty"]);
  await settleAll(taken, fails);
  expect(await untold()).toMatchObject({ dead: 0, failing: 0 });
  await ago("61 seconds");
  expect(await untold()).toMatchObject({ dead: 0, failing: 2 });
});

test("what one way has told does not count, whatever becomes of the others", async () => {
  const { taken } = await handedOver(["email", "pagerduty", "slack"]);
  await settleAll(taken, told, fails, refused);
  await ago("5 minutes");
  expect(await untold()).toEqual(none);
});

test("nor does a mail that some of its recipients have", async () => {
  const { taken } = await handedOver(["email", "pagerduty"]);
  const some = { ...fails, place: { sent: [], reached: ["ops@example.net"] } } as const;
  await settleAll(taken, some, refused);
  await ago("5 minutes");
  expect(await untold()).toEqual(none);
});

test("to be throttled counts after ten minutes", async () => {
  const { taken } = await handedOver(["slack"]);
  await settleAll(taken, throttled);
  await ago("9 minutes");
  expect(await untold()).toMatchObject({ failing: 0 });
  await ago("2 minutes");
  expect(await untold()).toMatchObject({ failing: 1 });
});

test("what was given up by all ways counts, until somebody acknowledges or a week has passed", async () => {
  const { run, taken } = await handedOver(["email", "pagerduty"]);
  await settleAll(taken, refused);
  expect(await untold()).toEqual({ ...none, dead: 2 });
  await store.sql("UPDATE paramedic.outbox SET settled_at = now() - interval '8 days' WHERE way = 'email'");
  expect(await untold()).toEqual({ ...none, dead: 1 });
  await escalations().acknowledge(run, "api:night");
  expect(await untold()).toEqual(none);
});

test("what is over counts no more", async () => {
  const { taken } = await handedOver(["email"]);
  await settleAll(taken, refused);
  await store.sql("UPDATE paramedic.escalations SET recovered_at = now()");
  expect(await untold()).toEqual(none);
});

test.each([
  ["record", "slack"],
  ["announcement", "status-page"],
  ["changes", "pagerduty"],
  ["report", "email"],
  ["notify", "email"],
])("what only tells, by %s, is left to readiness and the metric", async (topic, way) => {
  const run = await claimedRun(store);
  for (const how of [fails, refused]) {
    await store.sql(
      "INSERT INTO paramedic.outbox (id, run_id, topic, about, way, policy, level) VALUES ($1, $2, $3, $4, $5, '', 0)",
      [newId(), run.id, topic, newId(), way],
    );
    await settleAll(await take(), how);
  }
  await ago("20 minutes");
  expect(await createOutbox(store.database).troubles()).toEqual({ dead: 1, failing: 1 });
  expect(await untold()).toEqual(none);
});

test("what is due and nobody takes is said, with its age", async () => {
  const { taken } = await handedOver(["email"]);
  await store.sql("UPDATE paramedic.outbox SET lease_until = NULL WHERE id = $1", [taken[0]?.id]);
  await ago("3 minutes");
  const { oldestSeconds, failing } = await untold();
  expect(failing).toBe(0);
  expect(oldestSeconds).toBeGreaterThan(179);
});

test("levels at which nobody looks count, and so does a policy that nobody has known for a minute", async () => {
  await handedOver(["email"]);
  await store.sql("UPDATE paramedic.outbox SET state = 'following', shown_seq = 2, due_at = NULL");
  await store.sql("UPDATE paramedic.escalations SET due_at = now() - interval '3 minutes'");
  expect(await untold()).toEqual({ ...none, failing: 1 });
  await store.sql("UPDATE paramedic.escalations SET due_at = now() + interval '30 s', unknown_since = now()");
  expect(await untold()).toEqual(none);
  await store.sql("UPDATE paramedic.escalations SET unknown_since = now() - interval '61 s'");
  expect(await untold()).toEqual({ ...none, failing: 1 });
});
