/** What may have recovered: one worker measures at a time, and what came of it is stored once. The rest is in test/oncall/recovery.test.ts. */

import { createRecoveries, type PossibleRecovery } from "../../src/store/recoveries.ts";
import { closeStores, newStore, sameStore, storedRun, type TestStore } from "../support/store.ts";
import { until } from "../support/until.ts";

let store: TestStore;

beforeEach(async () => {
  store = await newStore();
});

afterAll(closeStores);

const recoveries = () => createRecoveries(store.database);

/** A run that was handed over and whose alert has resolved. */
async function due(target: string | null = "db"): Promise<string> {
  const run = await storedRun(store, { target });
  await store.sql("UPDATE paramedic.runs SET state = 'ended', outcome = 'failed' WHERE id = $1", [run]);
  await store.sql(
    "INSERT INTO paramedic.escalations (run_id, policy, recheck_at, due_at) VALUES ($1, 'ward', now(), now() + interval '1 hour')",
    [run],
  );
  return run;
}

const typesOf = async (run: string) => (await store.reads.events(run, 0)).map(({ type }) => type);

test("each is taken by one worker, with its whole history, until the lease ends", async () => {
  const runs = [await due(), await due(null)];
  const others = Array.from({ length: 4 }, () => createRecoveries(sameStore(store.url).database));
  const taken = (await Promise.all(others.map((other) => other.take(300)))).flat();
  expect(taken.map(({ runId }) => runId).sort()).toEqual([...runs].sort());
  const first = taken.find(({ runId }) => runId === runs[0]) as PossibleRecovery;
  expect(first).toMatchObject({ playbookHash: "sha256:00", target: "db", rechecks: 0 });
  expect(first.history).toMatchObject([{ type: "created", seq: 1 }]);
  expect(taken.find(({ runId }) => runId === runs[1])?.target).toBeNull();
  const again = new Set<string>();
  await until(
    async () => {
      for (const { runId } of await recoveries().take(30_000)) again.add(runId);
      return again.size === 2;
    },
    { what: "the leases to end" },
  );
});

test("it is over once, however many say so", async () => {
  const run = await due();
  await Promise.all(Array.from({ length: 4 }, () => recoveries().recovered(run, "it holds")));
  expect(await typesOf(run)).toEqual(["created", "recovery-checked", "recovered"]);
  expect(await store.sql("SELECT due_at, recheck_at FROM paramedic.escalations")).toEqual([
    { due_at: null, recheck_at: null },
  ]);
  await recoveries().notYet(run, "a late one", 1_000, true);
  expect(await typesOf(run)).toHaveLength(3);
  expect(await store.reads.firstBrokenEvent(run)).toBeNull();
});

test("what is not over is looked at again after the time, or never; the history says so where asked to", async () => {
  const run = await due();
  await recoveries().notYet(run, "not yet", 60_000, false);
  expect(await typesOf(run)).toEqual(["created"]);
  expect(await recoveries().take(30_000)).toEqual([]);
  await store.sql("UPDATE paramedic.escalations SET recheck_at = now()");
  expect(await recoveries().take(30_000)).toMatchObject([{ rechecks: 1 }]);
  await recoveries().notYet(run, "never", null, true);
  expect((await store.reads.events(run, 0)).at(-1)).toMatchObject({ type: "recovery-checked", passed: false });
  expect(await store.sql("SELECT recheck_at, rechecks FROM paramedic.escalations")).toEqual([
    { recheck_at: null, rechecks: 2 },
  ]);
});

test("nothing is taken while the kill switch is on, or cannot be read", async () => {
  await due();
  await store.switches.set({ paused: true, reason: "a test", by: "api:x", until: null });
  expect(await recoveries().take(30_000)).toEqual([]);
  await store.sql("DELETE FROM paramedic.switches");
  expect(await recoveries().take(30_000)).toEqual([]);
});
