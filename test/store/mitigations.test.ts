/** Mitigations in the store, where many look, decide and write at the same time. */

import type { Json } from "../../src/domain/json.ts";
import { createMitigations } from "../../src/store/mitigations.ts";
import type { Restack } from "../../src/store/revert-due.ts";
import { happened, rethrow } from "../support/builders.ts";
import {
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

jest.setTimeout(120_000);

let store: TestStore;
beforeEach(async () => {
  store = await newStore();
});
afterEach(closeStores);

const mitigationsOf = ({ database }: TestStore) => createMitigations(database, newId, Date.now);
const notStacked: Restack = (_, lower, upper) => ({ lower, upper });
/** Plans are numbers: the lower one gives way, and is added to the upper one. */
const adding: Restack = (_, lower, upper) => ({ lower: null, upper: (lower as number) + (upper as number) });

interface Began {
  readonly run: string;
  readonly id: string;
}

async function mitigate(
  run: Awaited<ReturnType<typeof claimedRun>>,
  { plan = 1 as Json, dueInMs = -1 as number | null, onResolved = false } = {},
): Promise<Began> {
  const id = newId();
  const revertAt = dueInMs === null ? null : new Date(Date.now() + dueInMs).toISOString();
  const began = { ...happened.mitigationBegan(), mitigation: id, plan, revertAt, onResolved };
  const events = [happened.planned(), happened.started(), happened.finished(), began as never, happened.ended()];
  await write(store, run, events, { state: "ended", outcome: "fixed" });
  return { run: run.id, id };
}

const stateOf = async (id: string) =>
  (await store.sql("SELECT state, plan, revert_run FROM paramedic.mitigations WHERE id = $1", [id]))[0];

test("what is due is put back the oldest first, and what is not is left", async () => {
  const later = await mitigate(await claimedRun(store, { target: "a" }), { dueInMs: -1_000 });
  const sooner = await mitigate(await claimedRun(store, { target: "b" }), { dueInMs: -2_000 });
  const notYet = await mitigate(await claimedRun(store, { target: "c" }), { dueInMs: 60_000 });
  const never = await mitigate(await claimedRun(store, { target: "d" }), { dueInMs: null });
  const started = await mitigationsOf(store).revertDue(notStacked, rethrow);
  const rows = await Promise.all([sooner, later].map(({ id }) => stateOf(id)));
  expect(rows.map((row) => row?.["revert_run"])).toEqual(started);
  for (const { id } of [notYet, never]) expect(await stateOf(id)).toMatchObject({ state: "in-force" });
  expect(await claimOf(store, started[0] as string)).toMatchObject({
    target: "b",
    holdsTarget: true,
    history: [{ type: "created", trigger: { kind: "mitigation", mitigation: sooner.id, run: sooner.run } }],
  });
});

test("one whose plan cannot be read keeps no other one from being put back, and is told of once a minute", async () => {
  const strange = await mitigate(await claimedRun(store, { target: "a" }), { plan: "old", dueInMs: -3_000 });
  // Both are of one thing, so that the first is looked at beside the second.
  await mitigate(await claimedRun(store, { target: "a" }), { plan: 1, dueInMs: null });
  const fine = await mitigate(await claimedRun(store, { target: "b" }), { dueInMs: -1_000 });
  const reading: Restack = (_, lower, upper) => {
    if (typeof lower !== "number") throw new Error("no plan of this version");
    return { lower, upper };
  };
  const failed: string[] = [];
  const look = () =>
    mitigationsOf(store).revertDue(reading, (id, error) => failed.push(`${id}: ${(error as Error).message}`));
  expect(await look()).toEqual([(await stateOf(fine.id))?.["revert_run"]]);
  expect(await look()).toEqual([]);
  expect(failed).toEqual([`${strange.id}: no plan of this version`]);
  await store.sql("UPDATE paramedic.mitigations SET revert_at = now() WHERE id = $1", [strange.id]);
  expect(await look()).toEqual([]);
  expect(failed).toHaveLength(2);
});

test("one that gives way leaves its share to the one above it, which keeps that", async () => {
  const low = await mitigate(await claimedRun(store), { plan: 1 });
  const middle = await mitigate(await claimedRun(store), { plan: 10, dueInMs: null });
  const high = await mitigate(await claimedRun(store), { plan: 100, dueInMs: null });
  expect(await mitigationsOf(store).revertDue(adding, rethrow)).toEqual([]);
  expect(await stateOf(low.id)).toMatchObject({ state: "reverted" });
  expect(await stateOf(middle.id)).toMatchObject({ state: "in-force", plan: 11 });
  expect(await stateOf(high.id)).toMatchObject({ state: "in-force", plan: 100 });
});

test("which of two is above is told by the store's clock, not by that of the worker that made it", async () => {
  const low = await mitigate(await claimedRun(store), { plan: 1 });
  const high = await mitigate(await claimedRun(store), { plan: 10, dueInMs: null });
  // As if the clock of the first worker were ahead.
  const id = "ffffffff-ffff-7fff-bfff-ffffffffffff";
  await store.sql("UPDATE paramedic.mitigations SET id = $2 WHERE id = $1", [low.id, id]);
  expect(await mitigationsOf(store).revertDue(adding, rethrow)).toEqual([]);
  expect(await stateOf(id)).toMatchObject({ state: "reverted" });
  expect(await stateOf(high.id)).toMatchObject({ plan: 11 });
});

test("one that shares everything with an earlier one in force has nothing to put back", async () => {
  const low = await mitigate(await claimedRun(store), { dueInMs: null });
  const high = await mitigate(await claimedRun(store));
  const same: Restack = (_, lower, upper) => ({ lower, upper, upperFirst: null });
  expect(await mitigationsOf(store).revertDue(same, rethrow)).toEqual([]);
  expect(await stateOf(high.id)).toMatchObject({ state: "reverted" });
  expect(await store.reads.events(high.run, 0)).toContainEqual(
    expect.objectContaining({ type: "mitigation-ended", reverted: true, reason: expect.stringContaining("earlier") }),
  );
  expect(await stateOf(low.id)).toMatchObject({ state: "in-force" });
});

test("however many look, decide, resolve and write at once, each is put back by at most one run and nobody fails", async () => {
  const alerts = Array.from({ length: 12 }, (_, index) => {
    const { alert, runs, ...rest } = incoming({ fingerprint: index.toString(16).padStart(16, "0") });
    return { ...rest, alert, runs: runs.map((run) => ({ ...run, target: `db${index % 3}` })) };
  });
  await store.receive(alerts);
  const began: Began[] = [];
  for (const [index, { runs }] of alerts.entries()) {
    const run = await claimOf(store, runs[0]?.id as string);
    began.push(await mitigate(run, { onResolved: true, dueInMs: index % 2 === 0 ? -1 : null }));
  }
  const stores = Array.from({ length: 3 }, () => sameStore(store.url));
  const resolved = alerts.map((one) => ({
    ...one,
    episodeId: newId(),
    alert: { ...one.alert, status: "resolved" as const, endsAt: "2026-01-05T11:00:00.000000Z" },
    runs: [],
  }));
  // A run is put back to its end as soon as it is started, so that those below it have their turn.
  const finish = async (of: TestStore, run: string) => {
    const claimed = await of.claims.claim(run);
    if (!claimed) return;
    const created = claimed.history[0];
    if (created?.type !== "created" || created.trigger.kind !== "mitigation") throw new Error("not such a run");
    const ended = { type: "mitigation-ended", mitigation: created.trigger.mitigation, reverted: true } as const;
    await write(of, claimed, [ended, happened.ended()], { state: "ended", outcome: "fixed" });
  };
  const started: string[] = [];
  const look = async (of: TestStore) => {
    for (let round = 0; round < 12; round++) {
      const runs = await mitigationsOf(of).revertDue(notStacked, rethrow);
      started.push(...runs);
      for (const run of runs) await finish(of, run);
      await store.sql(
        "UPDATE paramedic.mitigations SET revert_at = now() WHERE state = 'in-force' AND revert_at > now()",
      );
    }
  };
  await Promise.all([
    ...stores.map(look),
    ...resolved.map((one, index) => (stores[index % 3] as TestStore).receive([one])),
    ...began.map(({ id }, index) =>
      mitigationsOf(stores[index % 3] as TestStore).decide(id, index % 4 === 3 ? "keep" : "revert", "api:ann", "r"),
    ),
  ]);
  await look(store);
  const rows = await store.sql("SELECT state, revert_run FROM paramedic.mitigations");
  for (const { state } of rows) expect(["reverted", "kept"]).toContain(state);
  const runs = await store.sql("SELECT id FROM paramedic.runs WHERE trigger = 'mitigation'");
  expect(runs.map(({ id }) => id).sort()).toEqual([...started].sort());
  expect(
    rows
      .filter((row) => row["revert_run"] !== null)
      .map((row) => row["revert_run"])
      .sort(),
  ).toEqual([...started].sort());
  for (const { run } of began) expect(await store.reads.firstBrokenEvent(run)).toBeNull();
});
