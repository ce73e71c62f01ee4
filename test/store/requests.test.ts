import { happened } from "../support/builders.ts";
import {
  claimedRun,
  claimOf,
  closeStores,
  newRun,
  newStore,
  sameStore,
  type TestStore,
  write,
} from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

describe("a request", () => {
  test("stores a run that is ready, with who asked for it", async () => {
    const run = newRun({ inputs: { olderThan: 5 }, dryRun: true });
    expect(await store.requests.create(run, "api:ann", null)).toEqual({ id: run.id, created: true });
    expect(await claimOf(store, run.id)).toMatchObject({
      requestedBy: "api:ann",
      dryRun: true,
      history: [{ type: "created", inputs: { olderThan: 5 }, dryRun: true }],
    });
    expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
  });

  test("with the same key by the same requester is the same run; by another one, or without a key, it is another", async () => {
    const first = await store.requests.create(newRun(), "api:ann", "k1");
    expect(await store.requests.create(newRun(), "api:ann", "k1")).toEqual({ id: first.id, created: false });
    for (const [requester, key] of [
      ["api:bob", "k1"],
      ["api:ann", "k2"],
      ["api:ann", null],
      ["api:ann", null],
    ] as const) {
      const other = await store.requests.create(newRun(), requester, key);
      expect(other.created).toBe(true);
      expect(other.id).not.toBe(first.id);
    }
  });

  test("is found by the requester and the key, before another one is made", async () => {
    const first = await store.requests.create(newRun(), "api:ann", "known");
    expect(await store.requests.known("api:ann", "known")).toBe(first.id);
    expect(await store.requests.known("api:bob", "known")).toBeNull();
    expect(await store.requests.known("api:ann", "unknown")).toBeNull();
  });

  test("that is sent many times at once makes one run", async () => {
    const doors = [store, sameStore(store.url)];
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          (doors[index % 2] as TestStore).requests.create(newRun(), "api:ann", `race${round}`),
        ),
      );
      expect(new Set(answers.map((answer) => answer.id)).size).toBe(1);
      expect(answers.filter((answer) => answer.created)).toHaveLength(1);
    }
  });
});

describe("a cancel", () => {
  test("is written into the history and makes a waiting run due", async () => {
    const run = await claimedRun(store, { target: "cancelled" });
    await write(store, run, [], { state: "waiting", for: "verification", dueAt: Date.now() + 60_000 });
    expect(await store.requests.cancel(run.id, "ann", "false alarm")).toBe("cancelling");
    expect((await claimOf(store, run.id)).history.at(-1)).toMatchObject({
      type: "cancel-requested",
      by: "ann",
      reason: "false alarm",
    });
  });

  test("of a run that has ended or never was changes nothing", async () => {
    const run = await claimedRun(store, { target: "ended" });
    await write(store, run, [happened.ended()], { state: "ended", outcome: "fixed" });
    expect(await store.requests.cancel(run.id, "ann", "late")).toBe("already-ended");
    expect(await store.requests.cancel("00000000-0000-7000-8000-000000000000", "ann", "?")).toBe("not-found");
    expect((await store.reads.events(run.id, 0)).map((event) => event.type)).toEqual(["created", "ended"]);
  });

  test("many at once are each written, one after the other", async () => {
    const run = await claimedRun(store, { target: "often" });
    await Promise.all(Array.from({ length: 10 }, (_, index) => store.requests.cancel(run.id, `person${index}`, "now")));
    expect(await store.reads.events(run.id, 1)).toHaveLength(10);
    expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
  });
});
