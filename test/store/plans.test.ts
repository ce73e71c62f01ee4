/** How Postgres carries out what is asked of it all the time: by an index, also where the statistics are old. */

import { createAppend } from "../../src/store/append.ts";
import { createApprovals } from "../../src/store/approvals.ts";
import { createClaims } from "../../src/store/claim.ts";
import { connect } from "../../src/store/connect.ts";
import { createOutbox } from "../../src/store/outbox.ts";
import { createReads } from "../../src/store/reads.ts";
import { createReceive } from "../../src/store/receive.ts";
import { closeStores, incoming, newId, newStore, write } from "../support/store.ts";

afterAll(closeStores);

interface Node {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Index Cond"?: string;
  readonly Plans?: readonly Node[];
}

test("no statement of a worker or of a click reads a table or an index whole, though nothing waited when it was planned", async () => {
  const store = await newStore();
  // Much has been decided and nothing waits: to a planner, those that wait are the fewest there are.
  await store.sql(
    `WITH runs AS (
       INSERT INTO paramedic.runs (id, playbook, playbook_hash, lock_key, trigger, state, outcome, last_seq, last_hash)
       SELECT gen_random_uuid(), 'before', 'hash', 'db-' || number, 'request', 'ended', 'fixed', 1, ''
       FROM generate_series(1, 500) AS number
       RETURNING id)
     INSERT INTO paramedic.approvals (id, run_id, step, digest, effects, reasons, at_least, state, expires_at)
     SELECT gen_random_uuid(), id, 'change', '', '[]', '[]', 1, 'approved', now() FROM runs`,
  );
  await store.sql("ANALYZE paramedic.approvals, paramedic.runs");

  const database = connect(store.url, { connections: 1 });
  try {
    const [received] = await createReceive(database, Date.now)([incoming()]);
    if (received?.kind !== "firing") throw new Error("the alert was not stored");
    const id = received.runs[0]?.id as string;
    const claimed = await createClaims(database, { worker: "w", leaseMs: 30_000 }).claim(id);
    if (!claimed) throw new Error("the run could not be claimed");
    const append = createAppend(database, { newId, asksInSlack: true, tellsChanges: false });
    const approval = newId();
    const asked = { step: "change", approval, digest: "d", effects: ["x"], reasons: ["risk-high" as const] };
    const expiresAt = new Date(Date.now() + 600_000).toISOString();
    await write({ ...store, append }, claimed, [{ type: "approval-requested", ...asked, expiresAt, atLeast: 1 }]);
    const outbox = createOutbox(database);
    const [message] = await outbox.take(30_000);
    if (!message) throw new Error("nothing is to be told");
    const place = { ts: "1", asked: approval };
    expect(await outbox.settle(message, { ok: true, place, shownSeq: 2, told: null, done: false })).toBe("done");
    const approvals = createApprovals(database);
    const answer = { approval, digest: "d", decision: "approve", by: "slack:U1", reason: null } as const;
    expect((await approvals.answer(answer)).kind).toBe("answered");
    await approvals.find(approval);
    await createReads(database).events(id, 0);

    for (const pool of [database.pool, database.people]) {
      const { rows } = await pool.query<{ name: string; parameters: number }>(
        "SELECT name, cardinality(parameter_types) AS parameters FROM pg_prepared_statements",
      );
      expect(rows.length).toBeGreaterThan(3);
      await pool.query("SET plan_cache_mode = force_generic_plan");
      for (const { name, parameters } of rows) {
        const nulls = Array(parameters).fill("NULL").join(", ");
        const execute = `EXECUTE "${name}"${parameters > 0 ? `(${nulls})` : ""}`;
        const plan = await pool.query<{ "QUERY PLAN": readonly [{ readonly Plan: Node }] }>(
          `EXPLAIN (FORMAT JSON) ${execute}`,
        );
        const whole = nodesOf((plan.rows[0] as (typeof plan.rows)[0])["QUERY PLAN"][0].Plan).filter(isWhole);
        expect({ name, whole }).toEqual({ name, whole: [] });
      }
    }
  } finally {
    await database.close();
  }
});

function nodesOf(node: Node): readonly Node[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

function isWhole(node: Node): boolean {
  // What is in force at one time is little, and has an index of its own.
  if (node["Index Name"] === "mitigations_stacked") return false;
  if (node["Node Type"] === "Seq Scan") return true;
  return node["Index Name"] !== undefined && node["Index Cond"] === undefined;
}
