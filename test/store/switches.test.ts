import { inTransaction } from "../../src/store/connect.ts";
import { migrate } from "../../src/store/migrate.ts";
import { claimedRun, closeStores, newStore, sameStore, storedRun, type TestStore, write } from "../support/store.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeEach(async () => {
  store = await newStore();
});
afterEach(closeStores);

const pause = (until: string | null = null) => store.switches.set({ paused: true, reason: "deploy", by: "ann", until });

describe("the kill switch", () => {
  test("is off in a new store", async () => {
    expect(await store.switches.read()).toMatchObject({ paused: false, reason: null, by: null, until: null });
  });

  test("says who turned it, why and since when, and every worker sees it", async () => {
    expect((await pause()).switch).toMatchObject({
      paused: true,
      reason: "deploy",
      by: "ann",
      since: expect.any(String),
      until: null,
    });
    expect(await sameStore(store.url).switches.read()).toMatchObject({ paused: true });
    expect(await store.claims.claim(await storedRun(store))).toMatchObject({ paused: true });
  });

  test("stays on through a new start of everything (row 35)", async () => {
    await pause();
    await migrate(store.url);
    expect(await sameStore(store.url).switches.read()).toMatchObject({ paused: true, by: "ann" });
  });

  test("turns itself off when its time is over", async () => {
    await pause(new Date(Date.now() + 400).toISOString());
    expect((await store.switches.read()).paused).toBe(true);
    await until(async () => !(await store.switches.read()).paused);
    expect(await store.claims.claim(await storedRun(store))).toMatchObject({ paused: false });
  });

  test("wakes the runs that waited for it, and no others, when it is turned off", async () => {
    await pause();
    const waits = [];
    for (const what of ["switch", "approval", "switch"] as const) {
      const run = await claimedRun(store, { target: `db${waits.length}` });
      waits.push(await write(store, run, [], { state: "waiting", for: what, dueAt: Date.now() + 60_000 }));
    }
    expect((await pause()).woken).toEqual([]);
    const { woken } = await store.switches.set({ paused: false, reason: "done", by: "bob", until: null });
    expect([...woken].sort()).toEqual([waits[0]?.id, waits[2]?.id].sort());
    expect(await store.claims.claim(waits[0]?.id ?? "")).toMatchObject({ paused: false, holdsTarget: true });
    expect(await store.claims.claim(waits[1]?.id ?? "")).toBeNull();
  });

  test("turns off at once however many runs wait for it, and wakes the oldest of them", async () => {
    await pause();
    const oldest = await manyWaiting(5_000);
    const { switch: turned, woken } = await store.switches.set(resume);
    expect(turned.paused).toBe(false);
    expect([...woken].sort()).toEqual(oldest.slice(0, 500));
    expect(await store.sql("SELECT count(*)::int AS due FROM paramedic.runs WHERE due_at <= now()")).toEqual([
      { due: 500 },
    ]);
  });

  test("turns off while somebody has locked a run that waits for it, and wakes the others", async () => {
    await pause();
    const [locked, ...others] = await manyWaiting(3);
    await inTransaction(sameStore(store.url).database.pool, async (client) => {
      await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR UPDATE", [locked]);
      const { woken } = await store.switches.set(resume);
      expect([...woken].sort()).toEqual(others);
    });
    expect(await store.switches.read()).toMatchObject({ paused: false, reason: "done" });
  });

  test("turns off also where no run can be woken", async () => {
    await pause();
    await manyWaiting(3);
    await inTransaction(sameStore(store.url).database.pool, async (client) => {
      await client.query("LOCK TABLE paramedic.runs");
      expect(await store.switches.set(resume)).toMatchObject({ switch: { paused: false }, woken: [] });
    });
    expect((await store.switches.read()).paused).toBe(false);
  });
});

const resume = { paused: false, reason: "done", by: "bob", until: null } as const;

/** So many runs that wait for the switch and are due in a minute; their ids, the oldest first. */
async function manyWaiting(count: number): Promise<string[]> {
  const rows = await store.sql(
    `INSERT INTO paramedic.runs (id, playbook, playbook_hash, lock_key, trigger, state, waiting_for, due_at, last_seq, last_hash)
     SELECT lpad(to_hex(n), 32, '0')::uuid, 'test', 'sha256:00', n::text, 'request', 'waiting', 'switch',
       now() + interval '1 minute', 0, '' FROM generate_series($1::int, 1, -1) n RETURNING id`,
    [count],
  );
  return rows.map((row) => row.id as string).sort();
}
