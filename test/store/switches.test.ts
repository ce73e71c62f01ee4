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
});
