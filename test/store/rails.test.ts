import { happened } from "../support/builders.ts";
import { claimedRun, closeStores, newId, newStore, type TestStore, write } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

const hour = 3_600_000;
let names = 0;
const fresh = () => ({ playbook: `p${names}`, target: `db${names++}` });

/** A run that changed its target `secondsAgo`. */
async function changed(of: { playbook: string; target: string | null }, secondsAgo: number): Promise<string> {
  const run = await claimedRun(store, of);
  const started = await write(store, run, [happened.planned(), happened.started()]);
  await write(store, started, [happened.finished(), happened.ended()], { state: "ended", outcome: "fixed" });
  await store.sql("UPDATE paramedic.changes SET at = now() - make_interval(secs => $2) WHERE run_id = $1", [
    run.id,
    secondsAgo,
  ]);
  return run.id;
}

describe("readRails", () => {
  test("counts the runs that changed something in each window", async () => {
    const of = fresh();
    for (const secondsAgo of [10, 600, 5_000, 100_000]) await changed(of, secondsAgo);
    const budget = [
      { limit: 9, windowMs: hour },
      { limit: 8, windowMs: 60_000 },
      { limit: 7, windowMs: 24 * hour },
    ];
    expect(await store.readRails({ runId: newId(), ...of, budget, cooldownMs: null })).toEqual({
      budget: [
        { limit: 9, windowMs: hour, used: 2 },
        { limit: 8, windowMs: 60_000, used: 1 },
        { limit: 7, windowMs: 24 * hour, used: 3 },
      ],
      coolDownUntil: null,
    });
  });

  test("counts no other playbook, no other target, not itself and no run that only planned", async () => {
    const of = fresh();
    await changed({ ...of, playbook: "another" }, 10);
    await changed({ ...of, target: "another" }, 10);
    await changed({ ...of, target: null }, 10);
    const self = await changed(of, 10);
    await write(store, await claimedRun(store, of), [happened.planned()], { state: "released" });
    const question = { runId: self, ...of, budget: [{ limit: 1, windowMs: hour }], cooldownMs: hour };
    expect(await store.readRails(question)).toEqual({
      budget: [{ limit: 1, windowMs: hour, used: 0 }],
      coolDownUntil: null,
    });
    expect((await store.readRails({ ...question, runId: newId() })).budget[0]?.used).toBe(1);
    expect((await store.readRails({ ...question, target: null })).budget[0]?.used).toBe(1);
  });

  test("counts a run with several changes once", async () => {
    const of = fresh();
    let run = await claimedRun(store, of);
    for (const step of ["a", "b", "c"])
      run = await write(store, run, [
        happened.planned("d", ["x"], step),
        happened.started("d", step),
        happened.finished(step),
      ]);
    expect(
      (await store.readRails({ runId: newId(), ...of, budget: [{ limit: 1, windowMs: hour }], cooldownMs: null }))
        .budget[0]?.used,
    ).toBe(1);
  });

  test("the cool-down lasts from the newest change, and is over when it is over", async () => {
    const of = fresh();
    await changed(of, 300);
    await changed(of, 100);
    const { coolDownUntil } = await store.readRails({ runId: newId(), ...of, budget: [], cooldownMs: 600_000 });
    expect(Math.abs(Date.parse(coolDownUntil ?? "") - (Date.now() + 500_000))).toBeLessThan(5_000);
    expect(await store.readRails({ runId: newId(), ...of, budget: [], cooldownMs: 99_000 })).toEqual({
      budget: [],
      coolDownUntil: null,
    });
    expect(await store.readRails({ runId: newId(), ...of, budget: [], cooldownMs: null })).toEqual({
      budget: [],
      coolDownUntil: null,
    });
  });
});
