/** Clicks as rows: stored once, handled once, and found again when whoever stored them is gone. */

import { createClicks } from "../../src/store/clicks.ts";
import { closeStores, newStore, sameStore, type TestStore } from "../support/store.ts";

let store: TestStore;

beforeEach(async () => {
  store = await newStore();
});

afterAll(closeStores);

const clicks = () => createClicks(store.database);

const laterBy = (seconds: number) =>
  store.sql("UPDATE paramedic.clicks SET received_at = received_at - make_interval(secs => $1)", [seconds]);

test("the same press is stored once, whichever receiver gets it", async () => {
  const others = Array.from({ length: 5 }, () => createClicks(sameStore(store.url).database));
  const kept = await Promise.all(others.map((other) => other.keep("T1:U1:press", { approve: true })));
  expect(kept.filter(Boolean)).toHaveLength(1);
  expect(await clicks().keep("T1:U2:press", {})).toBe(true);
});

test("a press is left to whoever stored it for some seconds, then to anybody, one at a time", async () => {
  await clicks().keep("press", { decision: "approve" });
  expect(await clicks().takeLeft(30_000)).toEqual([]);
  await laterBy(11);
  const taken = await Promise.all(Array.from({ length: 5 }, () => clicks().takeLeft(30_000)));
  expect(taken.flat()).toEqual([{ key: "press", click: { decision: "approve" } }]);
  expect(await clicks().takeLeft(30_000)).toEqual([]);
  await store.sql("UPDATE paramedic.clicks SET lease_until = now() - interval '1 second'");
  expect(await clicks().takeLeft(30_000)).toHaveLength(1);
});

test("what was handled is never taken, and a press of it is still known", async () => {
  await clicks().keep("press", {});
  await clicks().handled("press");
  await laterBy(60);
  expect(await clicks().takeLeft(30_000)).toEqual([]);
  expect(await clicks().keep("press", {})).toBe(false);
});
