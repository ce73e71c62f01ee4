/** Runs that are left to the workers of one host: who may take them, and until when. */

import { createClaims } from "../../src/store/claim.ts";
import { happened } from "../support/builders.ts";
import { claimedRun, claimOf, closeStores, newStore, type TestStore, write } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

const hostWaitMs = 60_000;
const workerOf = (host: string | null) =>
  createClaims(store.database, { worker: `${host}/1`, leaseMs: 30_000, host, hostWaitMs });
const takeDue = (host: string | null) =>
  store.due.take({ graceMs: 0, againMs: 0, most: 100, hostWaitMs, ...(host !== null && { host }) });
const olderBy = (id: string, seconds: number) =>
  store.sql(
    "UPDATE paramedic.runs SET host_since = host_since - make_interval(secs => $2), due_at = due_at - make_interval(secs => $2) WHERE id = $1",
    [id, seconds],
  );

let targets = 0;

/** A run that is left to the workers of app-1. */
async function leftTo(): Promise<string> {
  const run = await claimedRun(store, { target: `db${targets++}` });
  await write(store, run, [happened.movedToHost("app-1")], { state: "released", host: "app-1" });
  return run.id;
}

test("only a worker of the host takes it, at once, and knows that it was left to it", async () => {
  const id = await leftTo();
  expect(await workerOf(null).claim(id)).toBeNull();
  expect(await workerOf("app-2").claim(id)).toBeNull();
  expect(await workerOf("app-1").claim(id)).toMatchObject({ id, leftTo: "app-1", takenOver: false, holdsTarget: true });
});

test("only the reconcilers of that host look for it", async () => {
  const id = await leftTo();
  expect(await takeDue(null)).not.toContain(id);
  expect(await takeDue("app-2")).not.toContain(id);
  expect(await takeDue("app-1")).toContain(id);
});

test("after the wait, everybody looks for it and may take it", async () => {
  const id = await leftTo();
  await olderBy(id, 59);
  expect(await takeDue(null)).not.toContain(id);
  await olderBy(id, 2);
  expect(await takeDue(null)).toContain(id);
  expect(await workerOf(null).claim(id)).toMatchObject({ leftTo: "app-1" });
});

test("what its worker there writes leaves it to everybody again", async () => {
  const id = await leftTo();
  const claimed = await workerOf("app-1").claim(id);
  if (!claimed) throw new Error("it was not claimed");
  await write(store, claimed, [], { state: "waiting", for: "retry", dueAt: Date.now() - 1 });
  expect(await claimOf(store, id)).toMatchObject({ leftTo: null });
});

test("a worker there that stopped before it wrote anything is followed by another one there", async () => {
  const id = await leftTo();
  await workerOf("app-1").claim(id);
  await store.sql("UPDATE paramedic.runs SET lease_until = now(), due_at = now() WHERE id = $1", [id]);
  expect(await workerOf(null).claim(id)).toBeNull();
  expect(await takeDue("app-1")).toContain(id);
  expect(await workerOf("app-1").claim(id)).toMatchObject({ takenOver: true });
});

test("a word from outside is for any worker to look at", async () => {
  const id = await leftTo();
  await store.requests.cancel(id, "api:ann", "enough");
  expect(await takeDue(null)).toContain(id);
  expect((await claimOf(store, id)).history.at(-1)).toMatchObject({ type: "cancel-requested" });
});
