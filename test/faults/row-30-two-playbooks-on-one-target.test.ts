import { happened } from "../support/builders.ts";
import { closeStores, newStore, sameStore, storedRun, type TestStore, write } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

describe("row 30: two playbooks want the same target", () => {
  test("of any number of runs and workers, one at a time holds it, and in the end each had its turn", async () => {
    const workers = [store, sameStore(store.url, { worker: "b" }), sameStore(store.url, { worker: "c" })];
    const left = new Set(
      await Promise.all(Array.from({ length: 9 }, (_, index) => storedRun(store, { playbook: `p${index % 3}` }))),
    );
    const holders = new Set<string>();
    let most = 0;
    await Promise.all(
      workers.map(async (worker) => {
        while (left.size > 0) {
          for (const id of [...left]) {
            const run = await worker.claims.claim(id);
            if (!run) continue;
            if (!run.holdsTarget) {
              await write(worker, run, [], { state: "waiting", for: "target", dueAt: Date.now() });
              continue;
            }
            holders.add(id);
            most = Math.max(most, holders.size);
            const changing = await write(worker, run, [happened.planned(), happened.started()]);
            holders.delete(id);
            await write(worker, changing, [happened.finished(), happened.ended()], {
              state: "ended",
              outcome: "fixed",
            });
            left.delete(id);
          }
        }
      }),
    );
    expect(most).toBe(1);
    expect(await store.sql("SELECT FROM paramedic.target_locks")).toEqual([]);
    expect(await store.sql("SELECT FROM paramedic.runs WHERE state <> 'ended'")).toEqual([]);
  });
});
