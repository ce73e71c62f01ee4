import { happened } from "../support/builders.ts";
import {
  appendOf,
  claimedRun,
  claimOf,
  closeStores,
  newStore,
  sameStore,
  type TestStore,
  write,
} from "../support/store.ts";

jest.setTimeout(60_000);

let slow: TestStore;
let quick: TestStore;
beforeAll(async () => {
  slow = await newStore();
  quick = sameStore(slow.url, { worker: "quick" });
});
afterAll(closeStores);

describe("row 29: a worker wakes up with an old plan after another one has finished the run", () => {
  test("its intent, its facts, its end and its heartbeat are refused", async () => {
    const old = await write(slow, await claimedRun(slow), [happened.planned()]);
    await slow.sql("UPDATE paramedic.runs SET lease_until = now(), due_at = now() WHERE id = $1", [old.id]);
    const now = await write(quick, await claimOf(quick, old.id), [
      happened.takenOver(),
      happened.planned("d2"),
      happened.started("d2"),
    ]);

    const late = [
      appendOf(old, [happened.started()]),
      appendOf(old, [happened.finished()]),
      appendOf(old, [happened.ended()], { state: "ended", outcome: "fixed" }),
      appendOf(old, [], { state: "released" }),
      // Even one that knows the newest history, but not the newest fence.
      appendOf({ ...now, fence: old.fence }, [happened.started()]),
    ];
    for (const one of late) expect(await slow.append(one)).toEqual({ kind: "lost" });
    expect(await slow.claims.extend([old])).toEqual(new Set());

    await write(quick, now, [happened.finished(), happened.ended("fixed")], { state: "ended", outcome: "fixed" });
    for (const one of late) expect(await slow.append(one)).toEqual({ kind: "lost" });
    expect((await slow.reads.events(old.id, 0)).map((event) => event.type)).toEqual([
      "created",
      "step-planned",
      "taken-over",
      "step-planned",
      "step-started",
      "step-finished",
      "ended",
    ]);
  });
});
