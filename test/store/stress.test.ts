import type { Appended } from "../../src/store/append.ts";
import type { ClaimedRun, Reloaded } from "../../src/store/claim.ts";
import { happened } from "../support/builders.ts";
import { appendOf, closeStores, incoming, newRun, newStore, sameStore, type TestStore } from "../support/store.ts";

jest.setTimeout(120_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

const runsWanted = 120;
const busyMs = 4_000;
const endsWithinMs = 60_000;

describe("many workers on many runs of few targets, while people cancel, alerts resolve and the switch is turned", () => {
  test("no statement fails, every run ends, every history holds and no lock is left", async () => {
    const leaseMs = 400;
    const workers = ["a", "b", "c"].map((worker) => sameStore(store.url, { worker, leaseMs }));
    const errors: unknown[] = [];
    const noted = async <T>(work: Promise<T>): Promise<T | null> =>
      work.catch((error: unknown) => {
        errors.push(error);
        return null;
      });
    const prints = Array.from({ length: runsWanted }, (_, index) => `f${index}`);
    const created = await Promise.all(
      prints.map((fingerprint, index) =>
        store.receive([incoming({ fingerprint }, { runs: [newRun({ target: `db${index % 4}` })] })]),
      ),
    );
    const left = new Set(
      created.flat().flatMap((answer) => (answer.kind === "firing" ? answer.runs.map((run) => run.id) : [])),
    );
    expect(left.size).toBe(runsWanted);
    const began = performance.now();
    const busy = () => performance.now() - began < busyMs;
    const inTime = () => performance.now() - began < endsWithinMs;
    const random = <T>(of: readonly T[]): T => of[Math.floor(Math.random() * of.length)] as T;
    const turn = () => new Promise((resolve) => setImmediate(resolve));

    async function workOn(worker: TestStore, id: string): Promise<void> {
      const claimed = await noted(worker.claims.claim(id));
      if (!claimed) return;
      let run: ClaimedRun = claimed;
      for (let step = 0; step < 6; step++) {
        // Some workers stop in the middle; their lease ends.
        if (busy() && Math.random() < 0.05) return;
        if (run.paused)
          return void (await noted(
            worker.append(appendOf(run, [], { state: "waiting", for: "switch", dueAt: run.now + 100 })),
          ));
        if (!run.holdsTarget)
          return void (await noted(
            worker.append(appendOf(run, [], { state: "waiting", for: "target", dueAt: run.now + 100 })),
          ));
        const last = step === 5 || (!busy() && step > 0);
        const happening = last
          ? happened.ended()
          : random([happened.planned(), happened.started(), happened.finished()]);
        const standing = last
          ? ({ state: "ended", outcome: "fixed" } as const)
          : random([
              { state: "running" } as const,
              { state: "running" } as const,
              { state: "released" } as const,
              { state: "waiting", for: "verification", dueAt: run.now } as const,
            ]);
        if (Math.random() < 0.3) await noted(worker.claims.extend([run]));
        const answer: Appended | null = await noted(worker.append(appendOf(run, [happening], standing)));
        if (!answer || answer.kind === "lost") return;
        if (answer.kind === "written") {
          if (last) left.delete(id);
          if (standing.state !== "running") return;
          run = { ...run, lastSeq: answer.lastSeq, lastHash: answer.lastHash };
          continue;
        }
        const again: Reloaded | null = await noted(worker.claims.reload(run));
        if (!again) return;
        run = { ...run, ...again };
      }
    }

    const lanes = workers.flatMap((worker) =>
      Array.from({ length: 6 }, async () => {
        while (left.size > 0 && inTime()) {
          await workOn(worker, random([...left]));
          await turn();
        }
      }),
    );
    const people = Array.from({ length: 2 }, async () => {
      while (busy()) {
        await noted(store.requests.cancel(random([...left]), "ann", "stress"));
        const some = prints.filter(() => Math.random() < 0.1);
        await noted(store.receive(some.map((fingerprint) => incoming({ fingerprint }, { runs: [] }))));
        await noted(
          store.receive(
            some
              .slice(0, 3)
              .map((fingerprint) =>
                incoming({ fingerprint, status: "resolved", endsAt: "2026-01-05T10:05:00.000000Z" }),
              ),
          ),
        );
      }
    });
    const operator = (async () => {
      for (let paused = true; busy(); paused = !paused) {
        await noted(store.switches.set({ paused, reason: "stress", by: "ann", until: null }));
        await noted(store.due.take({ graceMs: 0, againMs: 10, most: 50 }));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await noted(store.switches.set({ paused: false, reason: "over", by: "ann", until: null }));
    })();
    await Promise.all([...lanes, ...people, operator]);

    expect(errors.map(String)).toEqual([]);
    expect([...left]).toEqual([]);
    expect(await store.sql("SELECT id FROM paramedic.runs WHERE state <> 'ended'")).toEqual([]);
    expect(await store.sql("SELECT lock_key, run_id FROM paramedic.target_locks")).toEqual([]);
    const [deadlocks] = await store.sql(
      "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()",
    );
    expect(deadlocks).toEqual({ deadlocks: 0 });
    const broken = await store.sql(
      `SELECT run_id, seq FROM (
         SELECT run_id, seq, hash, prev_hash, event::text AS text,
           coalesce(lag(hash) OVER w, decode(repeat('00', 32), 'hex')) AS before, row_number() OVER w AS place
         FROM paramedic.run_events WINDOW w AS (PARTITION BY run_id ORDER BY seq)) AS e
       WHERE seq <> place OR prev_hash <> before
         OR hash <> sha256(prev_hash || convert_to(run_id || E'\\n' || seq || E'\\n' || text, 'UTF8'))`,
    );
    expect(broken).toEqual([]);
    const overlapping = await store.sql(
      "SELECT r.id FROM paramedic.runs r WHERE r.last_seq <> (SELECT max(seq) FROM paramedic.run_events e WHERE e.run_id = r.id)",
    );
    expect(overlapping).toEqual([]);
  });
});
