import { happened } from "../support/builders.ts";
import { claimedRun, closeStores, newStore, sameStore, storedRun, type TestStore, write } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeEach(async () => {
  store = await newStore();
});
afterEach(closeStores);

let targets = 0;
const ownTarget = () => ({ target: `db${targets++}` });
const age = (id: string, seconds: number) =>
  store.sql("UPDATE paramedic.runs SET due_at = now() - make_interval(secs => $2) WHERE id = $1", [id, seconds]);
const options = { graceMs: 5_000, againMs: 30_000, most: 100 };

describe("due.take", () => {
  test("gives the runs that nobody picked up, the oldest first", async () => {
    const [young, old, older] = [
      await storedRun(store, ownTarget()),
      await storedRun(store, ownTarget()),
      await storedRun(store, ownTarget()),
    ];
    await age(old, 10);
    await age(older, 20);
    expect(await store.due.take({ ...options, most: 1 })).toEqual([older]);
    expect(await store.due.take(options)).toEqual([old]);
    expect(await store.due.take({ ...options, graceMs: 0 })).toEqual([young]);
  });

  test("gives each once, until its time has come again", async () => {
    const id = await storedRun(store, ownTarget());
    await age(id, 10);
    expect(await store.due.take(options)).toEqual([id]);
    expect(await store.due.take(options)).toEqual([]);
    await store.sql("UPDATE paramedic.runs SET hinted_at = now() - interval '31 s' WHERE id = $1", [id]);
    expect(await store.due.take(options)).toEqual([id]);
  });

  test("of many reconcilers at once, one puts each run back", async () => {
    const ids = await Promise.all(Array.from({ length: 40 }, () => storedRun(store, ownTarget())));
    for (const id of ids) await age(id, 10);
    const other = sameStore(store.url);
    const taken = await Promise.all(
      Array.from({ length: 8 }, (_, index) => (index % 2 ? store : other).due.take({ ...options, most: 10 })),
    );
    expect(taken.flat().sort()).toEqual([...new Set(taken.flat())].sort());
    expect([...taken.flat(), ...(await store.due.take(options))].sort()).toEqual([...ids].sort());
  });

  test("passes over a run that somebody is writing to, without waiting", async () => {
    const [busy, free] = [await storedRun(store, ownTarget()), await storedRun(store, ownTarget())];
    for (const id of [busy, free]) await age(id, 10);
    const client = await store.database.people.connect();
    try {
      await client.query("BEGIN");
      await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR UPDATE", [busy]);
      expect(await store.due.take(options)).toEqual([free]);
      await client.query("COMMIT");
    } finally {
      client.release();
    }
    expect(await store.due.take(options)).toEqual([busy]);
  });

  test("leaves alone what has ended, what waits and what is worked on, and gives what its worker left behind", async () => {
    const ended = await claimedRun(store, ownTarget());
    await write(store, ended, [happened.ended()], { state: "ended", outcome: "fixed" });
    const waiting = await claimedRun(store, ownTarget());
    await write(store, waiting, [], { state: "waiting", for: "approval", dueAt: Date.now() + 60_000 });
    const working = await claimedRun(store, ownTarget());
    expect(await store.due.take({ ...options, graceMs: 0 })).toEqual([]);
    await age(working.id, 10);
    expect(await store.due.take(options)).toEqual([working.id]);
  });

  test("a run that was told something is put back again, although it was hinted at just before", async () => {
    const run = await claimedRun(store, ownTarget());
    await write(store, run, [], { state: "waiting", for: "approval", dueAt: Date.now() - 10_000 });
    expect(await store.due.take(options)).toEqual([run.id]);
    await store.requests.cancel(run.id, "ann", "false alarm");
    expect(await store.due.take({ ...options, graceMs: 0 })).toEqual([run.id]);
  });
});

describe("due.oldestSeconds", () => {
  test("says for how long the oldest has waited", async () => {
    expect(await store.due.oldestSeconds()).toBe(0);
    await age(await storedRun(store, ownTarget()), 60);
    await age(await storedRun(store, ownTarget()), 10);
    const seconds = await store.due.oldestSeconds();
    expect(seconds).toBeGreaterThanOrEqual(60);
    expect(seconds).toBeLessThan(70);
  });
});
