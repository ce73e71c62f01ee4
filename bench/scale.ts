/** What is done all the time, at a million runs of which 100,000 wait, beside the same in a database that is nearly empty. */

import { newId } from "../src/ids.ts";
import { createAppend } from "../src/store/append.ts";
import { createClaims } from "../src/store/claim.ts";
import { connect } from "../src/store/connect.ts";
import { createDue } from "../src/store/due.ts";
import type { IncomingAlert } from "../src/store/incoming.ts";
import { migrate } from "../src/store/migrate.ts";
import { createReads, type RunFilter } from "../src/store/reads.ts";
import { createReceive } from "../src/store/receive.ts";
import { fill } from "./fill.ts";
import type { Ground } from "./ground.ts";
import { incomingAlert } from "./incoming.ts";
import { compare, type Row } from "./row.ts";
import { quantile } from "./statistics.ts";

const large = { runs: 1_000_000, waiting: 100_000 };
/** Enough that a page is full: fewer rows would be cheaper to read. */
const small = { runs: 1_000, waiting: 0 };
const warmUps = 30;
const calls = 300;

/** Does it once. */
type Work = (turn: number) => Promise<unknown>;

export async function scale(ground: Ground): Promise<readonly Row[]> {
  const began = performance.now();
  const full = await open(await ground.newDatabase(), large);
  console.error(`scale: filled in ${((performance.now() - began) / 1_000).toFixed(0)} s`);
  const empty = await open(await ground.newDatabase(), small);
  const rows: Row[] = [];
  for (const [what, work] of Object.entries(full.works)) {
    const baseline = empty.works[what] as Work;
    const times = { full: [] as number[], empty: [] as number[] };
    for (let turn = 0; turn < warmUps + calls; turn++) {
      const both = [
        [times.empty, baseline],
        [times.full, work],
      ] as const;
      // Whoever comes second finds the processor warm.
      for (const [into, call] of turn % 2 === 0 ? both : [...both].reverse()) {
        const started = performance.now();
        await call(turn);
        if (turn >= warmUps) into.push(performance.now() - started);
      }
    }
    const ours = quantile(times.full, 0.5);
    const row = { what: `${what}, 1,000,000 runs`, unit: "ms", ours, p50: ours, p99: quantile(times.full, 0.99) };
    rows.push(compare({ ...row, baseline: quantile(times.empty, 0.5) }, { atMost: 1.5 }));
  }
  await Promise.all([full.close(), empty.close()]);
  return rows;
}

async function open(
  databaseUrl: string,
  size: { readonly runs: number; readonly waiting: number },
): Promise<{ readonly works: Readonly<Record<string, Work>>; close(): Promise<void> }> {
  await migrate(databaseUrl);
  await fill(databaseUrl, size.runs, size.waiting);
  const database = connect(databaseUrl);
  const receive = createReceive(database, Date.now);
  const append = createAppend(database, { newId, asksInSlack: false, tellsChanges: false });
  const due = createDue(database);
  const reads = createReads(database);
  const claims = createClaims(database, { worker: "bench", leaseMs: 600_000 });

  const fresh: IncomingAlert[] = Array.from({ length: warmUps + calls }, (_, index) =>
    incomingAlert(index, "sha256:00"),
  );
  await receive(fresh);
  const runOf = (turn: number) => fresh[turn]?.runs[0]?.id as string;
  const claimed = new Map<string, NonNullable<Awaited<ReturnType<typeof claims.claim>>>>();
  const middle = (await reads.runs({ ...everything, limit: 1 }))[0]?.id ?? newId();
  return {
    works: {
      "newest 50 runs": () => reads.runs(everything),
      "page of 50 by key": () => reads.runs({ ...everything, before: middle }),
      "newest 50 of a target": () => reads.runs({ ...everything, target: "target-1" }),
      "newest 50 ended": () => reads.runs({ ...everything, state: "ended" }),
      "newest 50 of an outcome": () => reads.runs({ ...everything, outcome: "fixed" }),
      "newest 50 firing episodes": () => reads.episodes({ status: "firing", limit: 50, before: null }),
      "dedupe (a repeated alert)": (turn) => receive([fresh[turn] as IncomingAlert]),
      claim: async (turn) => {
        const run = await claims.claim(runOf(turn));
        if (!run) throw new Error("a run that is due was not claimed");
        claimed.set(run.id, run);
      },
      "append and end": async (turn) => {
        const run = claimed.get(runOf(turn));
        if (!run) throw new Error("this run was not claimed");
        const { id, fence, lastSeq, lastHash } = run;
        const at = new Date().toISOString();
        const answer = await append({
          ...{ runId: id, fence, lastSeq, lastHash },
          happenings: [{ at, type: "ended", outcome: "nothing-to-do", reason: "nothing had to be changed" }],
          standing: { state: "ended", outcome: "nothing-to-do" },
        });
        if (answer.kind !== "written") throw new Error(`the append was ${answer.kind}`);
      },
      "reconciler's query": () => due.take({ graceMs: 2_000, againMs: 15_000, most: 500 }),
      "oldest due run": () => due.oldestSeconds(),
    },
    close: database.close,
  };
}

const everything: RunFilter = { state: null, outcome: null, playbook: null, target: null, limit: 50, before: null };
