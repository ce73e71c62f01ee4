import { happened } from "../support/builders.ts";
import {
  appendOf,
  claimedRun,
  claimOf,
  closeStores,
  newId,
  newStore,
  sameStore,
  type TestStore,
  write,
} from "../support/store.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterEach(async () => {
  await store.switches.set({ paused: false, reason: "on", by: "tests", until: null });
});
afterAll(closeStores);

let targets = 0;
const ownTarget = () => ({ target: `db${targets++}` });
const pause = () => store.switches.set({ paused: true, reason: "off", by: "tests", until: null });
const waitingForLock = (count: number) =>
  until(async () => {
    const [row] = await store.sql(
      "SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    );
    return row?.["waiting"] === count;
  });

describe("append", () => {
  test("writes events and where the run stands, and the chain holds", async () => {
    let run = await claimedRun(store, ownTarget());
    run = await write(store, run, [happened.planned(), happened.railsChecked()]);
    run = await write(store, run, [happened.started()]);
    run = await write(store, run, [happened.finished()], {
      state: "waiting",
      for: "verification",
      dueAt: Date.now() + 60_000,
    });
    expect(await store.reads.run(run.id)).toMatchObject({ state: "waiting", waitingFor: "verification" });
    expect((await store.reads.events(run.id, 0)).map((event) => [event.seq, event.type])).toEqual([
      [1, "created"],
      [2, "step-planned"],
      [3, "rails-checked"],
      [4, "step-started"],
      [5, "step-finished"],
    ]);
    expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
  });

  test("a run that has ended is written to no more", async () => {
    const run = await write(store, await claimedRun(store, ownTarget()), [happened.ended()], {
      state: "ended",
      outcome: "fixed",
    });
    expect(await store.append(appendOf(run, [happened.planned()]))).toEqual({ kind: "lost" });
    expect(await store.reads.run(run.id)).toMatchObject({
      state: "ended",
      outcome: "fixed",
      endedAt: expect.any(String),
    });
    expect(await store.requests.cancel(run.id, "ann", "late")).toBe("already-ended");
  });

  test("says moved when somebody else wrote in between", async () => {
    const run = await claimedRun(store, ownTarget());
    await store.requests.cancel(run.id, "ann", "false alarm");
    expect(await store.append(appendOf(run, [happened.planned()]))).toEqual({ kind: "moved" });
    const again = { ...run, ...(await store.claims.reload(run)) };
    expect((await write(store, again, [happened.planned()])).lastSeq).toBe(3);
    expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
  });

  test("says moved, not lost, to a worker that waited for the one who wrote in between", async () => {
    const run = await claimedRun(store, ownTarget());
    const client = await store.database.people.connect();
    try {
      await client.query("BEGIN");
      await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR UPDATE", [run.id]);
      const appending = store.append(appendOf(run, [happened.finished()]));
      await waitingForLock(1);
      await client.query("UPDATE paramedic.runs SET last_seq = last_seq + 1 WHERE id = $1", [run.id]);
      await client.query("COMMIT");
      expect(await appending).toEqual({ kind: "moved" });
    } finally {
      client.release();
    }
  });

  test("says lost to a worker that waited while its run was taken over", async () => {
    const run = await claimedRun(store, ownTarget());
    const client = await store.database.people.connect();
    try {
      await client.query("BEGIN");
      await client.query("UPDATE paramedic.runs SET fence = fence + 1 WHERE id = $1", [run.id]);
      const appending = store.append(appendOf(run, [happened.finished()]));
      await waitingForLock(1);
      await client.query("COMMIT");
      expect(await appending).toEqual({ kind: "lost" });
    } finally {
      client.release();
    }
  });

  test("of two workers that believe to have the run, the fence decides, also within one statement", async () => {
    const before = await claimedRun(store, ownTarget());
    await store.sql("UPDATE paramedic.runs SET lease_until = now(), due_at = now() WHERE id = $1", [before.id]);
    const now = await claimOf(store, before.id);
    const answers = await Promise.all([
      store.append(appendOf(before, [happened.finished()])),
      store.append(appendOf(now, [happened.takenOver()])),
      store.append(appendOf(before, [happened.ended()], { state: "ended", outcome: "failed" })),
    ]);
    expect(answers.map((answer) => answer.kind)).toEqual(["lost", "written", "lost"]);
    expect((await store.reads.events(before.id, 0)).map((event) => event.type)).toEqual(["created", "taken-over"]);
    expect(await store.reads.firstBrokenEvent(before.id)).toBeNull();
  });

  test("the same append twice is written once", async () => {
    const run = await claimedRun(store, ownTarget());
    const twice = [
      store.append(appendOf(run, [happened.planned()])),
      store.append(appendOf(run, [happened.planned()])),
    ];
    expect((await Promise.all(twice)).map((answer) => answer.kind).sort()).toEqual(["moved", "written"]);
    expect(await store.reads.events(run.id, 1)).toHaveLength(1);
  });

  test("one append that cannot be written costs no other one", async () => {
    const runs = await Promise.all([1, 2, 3].map(() => claimedRun(store, ownTarget())));
    const [a, bad, b] = runs as [(typeof runs)[0], (typeof runs)[0], (typeof runs)[0]];
    const settled = await Promise.allSettled([
      store.append(appendOf(a, [happened.planned()])),
      store.append(appendOf(bad, [], { state: "waiting", for: "retry", dueAt: Number.NaN })),
      store.append(appendOf(b, [happened.planned()])),
    ]);
    expect(settled.map((answer) => answer.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("many runs share statements and each gets its own answer", async () => {
    const runs = await Promise.all(Array.from({ length: 60 }, () => claimedRun(store, ownTarget())));
    const written = await Promise.all(runs.map((run) => write(store, run, [happened.planned(), happened.started()])));
    expect(written.map((run) => run.lastSeq)).toEqual(runs.map(() => 3));
    for (const run of written.slice(0, 10)) expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
  });

  test("an intent is refused while the kill switch is on, and nothing of it is written", async () => {
    const run = await write(store, await claimedRun(store, ownTarget()), [happened.planned()]);
    await pause();
    expect(await store.append(appendOf(run, [happened.started()]))).toEqual({ kind: "paused" });
    expect(await store.reads.events(run.id, 2)).toEqual([]);
    expect(await store.sql("SELECT FROM paramedic.changes WHERE run_id = $1", [run.id])).toEqual([]);
    expect((await write(store, run, [happened.observed()])).lastSeq).toBe(3);
  });

  test("facts are written while the kill switch is on", async () => {
    const run = await write(store, await claimedRun(store, ownTarget()), [happened.planned(), happened.started()]);
    await pause();
    expect((await write(store, run, [happened.finished()])).lastSeq).toBe(4);
  });

  test("an intent is refused once the lease has ended, even where nobody took over; a fact is not", async () => {
    const run = await write(store, await claimedRun(store, ownTarget()), [happened.planned()]);
    await store.sql("UPDATE paramedic.runs SET lease_until = now() WHERE id = $1", [run.id]);
    expect(await store.append(appendOf(run, [happened.started()]))).toEqual({ kind: "lost" });
    expect((await write(store, run, [happened.observed()])).lastSeq).toBe(3);
  });

  test("text that is only half well-formed is kept", async () => {
    const run = await claimedRun(store, ownTarget());
    const approval = newId();
    const effects = ["cancel 'SELECT \ud83d' and \u0000"];
    await write(
      store,
      run,
      [{ ...happened.requested({ approval }), effects } as ReturnType<typeof happened.requested>],
      { state: "waiting", for: "approval", dueAt: Date.now() + 1_000 },
    );
    expect((await store.approvals.ofRun(run.id))[0]?.effects).toEqual(effects);
    expect(await store.reads.firstBrokenEvent(run.id)).toBeNull();
  });

  test("an approval that is still open when its run ends is voided with it", async () => {
    const run = await claimedRun(store, ownTarget());
    const approval = newId();
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    const asked = await write(store, run, [
      { ...happened.requested({ approval }), expiresAt } as ReturnType<typeof happened.requested>,
    ]);
    await write(store, asked, [happened.ended("failed")], { state: "ended", outcome: "failed" });
    expect((await store.approvals.ofRun(run.id))[0]?.state).toBe("voided");
    const answer = await store.approvals.answer({
      approval,
      decision: "approve",
      digest: "d1",
      by: "ann",
      reason: null,
    });
    expect(answer.kind).toBe("already-decided");
  });

  test("another process finds the history as it was written", async () => {
    const run = await write(
      store,
      await claimedRun(store, ownTarget()),
      [happened.planned("d1", ["é", "\u2028", '"\\']), happened.resolved()],
      { state: "released" },
    );
    const claimed = await claimOf(sameStore(store.url, { worker: "other" }), run.id);
    expect(claimed.history.slice(1)).toEqual([
      expect.objectContaining({ ...happened.planned("d1", ["é", "\u2028", '"\\']), seq: 2 }),
      expect.objectContaining({ ...happened.resolved(), seq: 3 }),
    ]);
  });
});
