import { alert, closeStores, incoming, newRun, newStore, sameStore, type TestStore } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

describe("row 1: the same notification a hundred times at once", () => {
  test("is one episode and one run, and each time is answered with that run", async () => {
    const receivers = [store, sameStore(store.url), sameStore(store.url)];
    const { fingerprint } = alert();
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        (receivers[index % receivers.length] as TestStore).receive([incoming({ fingerprint }, { runs: [newRun()] })]),
      ),
    );
    const runs = answers.flat().map((answer) => (answer.kind === "firing" ? answer.runs : []));
    expect(runs).toHaveLength(100);
    expect(new Set(runs.map(([run]) => run?.id)).size).toBe(1);
    expect(runs.filter(([run]) => run?.created)).toHaveLength(1);
    expect(await store.sql("SELECT status, notifications FROM paramedic.episodes")).toEqual([
      { status: "firing", notifications: 100 },
    ]);
    expect(await store.sql("SELECT id FROM paramedic.runs")).toEqual([{ id: runs[0]?.[0]?.id }]);
    expect(await store.sql("SELECT seq FROM paramedic.run_events")).toEqual([{ seq: 1 }]);
  });
});
