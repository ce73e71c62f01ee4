import { appendFromOutside } from "../../src/store/outside.ts";
import { happened } from "../support/builders.ts";
import {
  appendOf,
  claimedRun,
  claimOf,
  closeStores,
  newStore,
  sameStore,
  storedRun,
  type TestStore,
  write,
} from "../support/store.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

let store: TestStore;
let other: TestStore;
beforeAll(async () => {
  store = await newStore();
  other = sameStore(store.url, { worker: "other" });
});
afterAll(closeStores);

let targets = 0;
const ownTarget = () => ({ target: `db${targets++}` });
const expireLease = (id: string) =>
  store.sql(
    "UPDATE paramedic.runs SET lease_until = now() - interval '1 ms', due_at = now() - interval '1 ms' WHERE id = $1",
    [id],
  );

/** Any number that nothing else locks. */
const gate = 4_242;

describe("claim", () => {
  test("hands over the whole run with a new fence", async () => {
    const of = ownTarget();
    const run = await claimedRun(store, { ...of, playbook: "p", playbookHash: "sha256:11" });
    expect(run).toMatchObject({
      playbook: "p",
      playbookHash: "sha256:11",
      ...of,
      dryRun: false,
      requestedBy: "api:tests",
      fence: 1,
      lastSeq: 1,
      takenOver: false,
      holdsTarget: true,
      paused: false,
    });
    expect(run.history).toEqual([expect.objectContaining({ seq: 1, type: "created" })]);
    expect(Math.abs(run.now - Date.now())).toBeLessThan(5_000);
  });

  test("of many workers that race for a run, one gets it", async () => {
    for (let round = 0; round < 10; round++) {
      const id = await storedRun(store, ownTarget());
      const claims = await Promise.all(
        Array.from({ length: 10 }, (_, index) => (index % 2 ? store : other).claims.claim(id)),
      );
      expect(claims.filter((claim) => claim !== null)).toHaveLength(1);
    }
  });

  test("what is told while it claims is in the history that it hands over", async () => {
    const [first, second] = [await storedRun(store, ownTarget()), await storedRun(store, ownTarget())];
    // The statement has begun, and waits at the first run before it comes to the second.
    await store.sql(`CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_advisory_xact_lock(${gate}); RETURN NEW; END $$`);
    await store.sql(`CREATE TRIGGER wait_here BEFORE UPDATE ON paramedic.runs FOR EACH ROW
      WHEN (NEW.id = '${first}' AND NEW.fence > OLD.fence) EXECUTE FUNCTION wait_here()`);
    const [keeper, teller] = [await store.database.people.connect(), await store.database.people.connect()];
    try {
      await keeper.query("SELECT pg_advisory_lock($1)", [gate]);
      // Whoever tells it has begun before the claim and commits after it has begun.
      await teller.query("BEGIN");
      const claiming = Promise.all([first, second].map((id) => store.claims.claim(id)));
      await until(async () => (await store.sql("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))[0]);
      await appendFromOutside(teller, [{ runId: second, happening: happened.cancelled() }]);
      await teller.query("COMMIT");
      await keeper.query("SELECT pg_advisory_unlock($1)", [gate]);
      const [, claimed] = await claiming;
      expect(claimed?.history.map(({ type }) => type)).toEqual(["created", "cancel-requested"]);
      expect(claimed).toMatchObject({ lastSeq: 2, fence: 1, takenOver: false });
    } finally {
      keeper.release();
      teller.release();
      await store.sql("DROP FUNCTION wait_here CASCADE");
    }
  });

  test("a run in other hands, one that is not due, one that has ended and one that never was are not handed over", async () => {
    const taken = await claimedRun(store, ownTarget());
    const waiting = await claimedRun(store, ownTarget());
    await write(store, waiting, [], { state: "waiting", for: "retry", dueAt: Date.now() + 60_000 });
    const over = await claimedRun(store, ownTarget());
    await write(store, over, [happened.ended()], { state: "ended", outcome: "fixed" });
    for (const id of [taken.id, waiting.id, over.id, "00000000-0000-7000-8000-000000000000"]) {
      expect(await other.claims.claim(id)).toBeNull();
    }
  });

  test("a run whose lease has ended is taken over, and its old fence is worth nothing", async () => {
    const before = await claimedRun(store, ownTarget());
    await expireLease(before.id);
    const after = await claimOf(other, before.id);
    expect(after).toMatchObject({ takenOver: true, fence: before.fence + 1, holdsTarget: true });
    expect(await store.append(appendOf(before, [happened.planned()]))).toEqual({ kind: "lost" });
    expect(await store.claims.reload(before)).toBeNull();
    expect(await store.claims.extend([before])).toEqual(new Set());
    expect((await write(other, after, [happened.takenOver()])).lastSeq).toBe(2);
  });

  test("a run in other hands that was told something is due, and yet not handed over", async () => {
    const run = await claimedRun(store, ownTarget());
    await store.requests.cancel(run.id, "ann", "false alarm");
    expect(await other.claims.claim(run.id)).toBeNull();
    expect(await store.claims.claim(run.id)).toBeNull();
  });

  test("a run that was given back is not taken over", async () => {
    const run = await claimedRun(store, ownTarget());
    await write(store, run, [], { state: "released" });
    expect(await other.claims.claim(run.id)).toMatchObject({ takenOver: false, fence: 2 });
  });

  test("a lease ends by itself", async () => {
    const brief = sameStore(store.url, { leaseMs: 300 });
    const run = await claimedRun(brief, ownTarget());
    expect(await other.claims.claim(run.id)).toBeNull();
    expect(await until(() => other.claims.claim(run.id))).toMatchObject({ takenOver: true });
  });

  test("a lease that is extended lasts", async () => {
    const run = await claimedRun(store, ownTarget());
    await store.sql("UPDATE paramedic.runs SET lease_until = now() + interval '1 s' WHERE id = $1", [run.id]);
    const strange = { id: run.id, fence: run.fence + 7 };
    expect(await store.claims.extend([run])).toEqual(new Set([run.id]));
    expect(await store.claims.extend([strange])).toEqual(new Set());
    const [row] = await store.sql(
      "SELECT lease_until > now() + interval '25 s' AS long, due_at = lease_until AS due_then FROM paramedic.runs WHERE id = $1",
      [run.id],
    );
    expect(row).toEqual({ long: true, due_then: true });
  });

  test("a lease counts as extended only once it is, even while somebody else writes to the run", async () => {
    const run = await claimedRun(store, ownTarget());
    await store.sql("UPDATE paramedic.runs SET lease_until = now() + interval '1 s' WHERE id = $1", [run.id]);
    const client = await other.database.pool.connect();
    try {
      await client.query("BEGIN");
      await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR UPDATE", [run.id]);
      let answered = false;
      const extending = store.claims.extend([run]).then((ours) => {
        answered = true;
        return ours;
      });
      await until(async () => {
        const [row] = await store.sql(
          "SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        );
        return row?.["waiting"] === 1;
      });
      expect(answered).toBe(false);
      await client.query("COMMIT");
      expect(await extending).toEqual(new Set([run.id]));
      const [row] = await store.sql(
        "SELECT lease_until > now() + interval '25 s' AS long FROM paramedic.runs WHERE id = $1",
        [run.id],
      );
      expect(row).toEqual({ long: true });
    } finally {
      client.release();
    }
  });

  test("reload brings what others wrote", async () => {
    const run = await claimedRun(store, ownTarget());
    await store.requests.cancel(run.id, "ann", "false alarm");
    expect(await store.claims.reload(run)).toMatchObject({
      lastSeq: 2,
      holdsTarget: true,
      history: [{ type: "created" }, { type: "cancel-requested" }],
    });
  });
});

describe("the lock of a target", () => {
  test("one of two runs of a target holds it, and the other one after it has ended", async () => {
    const of = ownTarget();
    const first = await claimedRun(store, of);
    const second = await claimedRun(other, of);
    expect([first.holdsTarget, second.holdsTarget]).toEqual([true, false]);
    await write(other, second, [], { state: "waiting", for: "target", dueAt: Date.now() + 15_000 });
    const end = await write(store, first, [happened.ended()], { state: "ended", outcome: "fixed" });
    expect(end.woken).toEqual([second.id]);
    expect(await claimOf(other, second.id)).toMatchObject({ holdsTarget: true, takenOver: false });
  });

  test("two runs of one claim do not both hold it", async () => {
    const of = ownTarget();
    const ids = await Promise.all([storedRun(store, of), storedRun(store, of), storedRun(store, of)]);
    const claims = await Promise.all(ids.map((id) => store.claims.claim(id)));
    expect(claims.map((claim) => claim?.holdsTarget).sort()).toEqual([false, false, true]);
  });

  test.each([
    ["an approval", "approval", true],
    ["the kill switch", "switch", true],
    ["its verification", "verification", false],
    ["its next try", "retry", false],
  ] as const)("while its holder waits for %s it is free: %s %s", async (_, what, free) => {
    const of = ownTarget();
    const first = await claimedRun(store, of);
    await write(store, first, [], { state: "waiting", for: what, dueAt: Date.now() + 60_000 });
    expect((await claimedRun(other, of)).holdsTarget).toBe(free);
  });

  test("it stays with a run that is given back or taken over", async () => {
    const of = ownTarget();
    const first = await claimedRun(store, of);
    await write(store, first, [], { state: "released" });
    expect((await claimedRun(other, of)).holdsTarget).toBe(false);
    const again = await claimOf(store, first.id);
    expect(again.holdsTarget).toBe(true);
    await expireLease(first.id);
    expect((await claimOf(other, first.id)).holdsTarget).toBe(true);
  });

  test("a dry run takes none and needs none", async () => {
    const of = ownTarget();
    expect(await claimedRun(store, { ...of, dryRun: true })).toMatchObject({ dryRun: true, holdsTarget: false });
    expect((await claimedRun(store, of)).holdsTarget).toBe(true);
  });

  test("without a target it is the playbook that is locked", async () => {
    const first = await claimedRun(store, { target: null, playbook: "same" });
    const second = await claimedRun(store, { target: null, playbook: "same" });
    const third = await claimedRun(store, { target: null, playbook: "else" });
    expect([first, second, third].map((run) => run.holdsTarget)).toEqual([true, false, true]);
  });

  test("the end wakes one of those that wait, the oldest", async () => {
    const of = ownTarget();
    const first = await claimedRun(store, of);
    const waiting = [];
    for (let i = 0; i < 3; i++) {
      const run = await claimedRun(store, of);
      waiting.push(await write(store, run, [], { state: "waiting", for: "target", dueAt: Date.now() + 60_000 }));
    }
    const end = await write(store, first, [happened.ended()], { state: "ended", outcome: "fixed" });
    expect(end.woken).toEqual([waiting[0]?.id]);
  });
});
