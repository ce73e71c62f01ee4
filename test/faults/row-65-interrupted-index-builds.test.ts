/** Row 65: an interrupted build leaves an invalid index; that is found, told and cleared by a step of its own, and never counts as success. */

import { createIndex } from "../../src/actions/postgres/create-index.ts";
import { dropInvalidIndexes } from "../../src/actions/postgres/drop-invalid-indexes.ts";
import { invalidIndexes } from "../../src/actions/postgres/invalid-indexes.ts";
import { reindex } from "../../src/actions/postgres/reindex.ts";
import type { Action } from "../../src/domain/action.ts";
import { contextFor } from "../actions/context.ts";
import { carriedOut, createShop, planOf, type Shop, seen } from "../actions/postgres/shop.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { alertOf, createSpine } from "../support/spine.ts";
import { until } from "../support/until.ts";

const playbook = [
  "name: clear-leftovers",
  "summary: Clear away what interrupted index builds have left.",
  `on: { alerts: ['alertname="Sick"'] }`,
  "target: { label: service }",
  "steps:",
  "  - { id: find, do: postgres.invalid-indexes }",
  "  - { id: clear, if: size(steps.find.indexes) > 0, do: postgres.drop-invalid-indexes }",
  "verify:",
  "  - { do: postgres.invalid-indexes, expect: size(output.indexes) == 0, within: 5s, every: 1s }",
].join("\n");

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

/** Somebody's transaction that a build has to wait for. */
async function olderTransaction() {
  const { client } = await shop.session();
  await client.query("BEGIN");
  await client.query("UPDATE item SET note = 'y' WHERE id = 1");
  return client;
}

/** Waits until the build of Paramedic's role waits for the older transaction, and cancels it there. */
async function interrupt(): Promise<void> {
  const [builder] = await until(async () => {
    const rows = await shop.admin(
      "SELECT pid FROM pg_stat_activity WHERE usename = $1 AND query LIKE '%CONCURRENTLY%' AND wait_event_type = 'Lock'",
      [shop.carer],
    );
    return rows.length > 0 && rows;
  });
  await shop.admin("SELECT pg_cancel_backend($1)", [builder?.["pid"]]);
}

const invalid = async () => (await seen(invalidIndexes, {}, shop.target)).indexes.map(({ index }) => index);

test("CREATE INDEX CONCURRENTLY interrupted: told, refused until cleared, cleared by its own step, then built", async () => {
  const input = { table: "item", columns: ["note"] };
  const planned = await planOf(createIndex, input, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  const older = await olderTransaction();
  const applying = createIndex.apply(planned.plan, contextFor(shop.target));
  await interrupt();
  expect(await applying).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining("left an invalid index: public.item_note_idx"),
  });
  await older.query("ROLLBACK");
  expect(await invalid()).toEqual(["item_note_idx"]);

  // What CREATE INDEX … IF NOT EXISTS would call success.
  await shop.asApp("CREATE INDEX CONCURRENTLY IF NOT EXISTS item_note_idx ON item (note)");
  expect(await createIndex.probe?.(planned.plan, contextFor(shop.target))).toBe("not-applied");
  for (const again of [
    await planOf(createIndex, input, shop.target),
    await createIndex.apply(planned.plan, contextFor(shop.target)),
  ]) {
    expect(again).toMatchObject({ status: "failed", reason: expect.stringContaining("postgres.drop-invalid-indexes") });
  }

  expect(await carriedOut(dropInvalidIndexes, { table: "item" }, shop.target)).toMatchObject({
    status: "done",
    result: { dropped: ["public.item_note_idx"] },
  });
  expect(await carriedOut(createIndex, input, shop.target)).toMatchObject({ status: "done", result: { built: true } });
  expect(await invalid()).toEqual([]);
});

test("REINDEX … CONCURRENTLY interrupted: told, refused until cleared, cleared by its own step, then rebuilt", async () => {
  const input = { table: "item", indexes: ["item_price"] };
  const planned = await planOf(reindex, input, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  const older = await olderTransaction();
  const applying = reindex.apply(planned.plan, contextFor(shop.target));
  await interrupt();
  expect(await applying).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining("left invalid indexes: public.item_price_ccnew"),
  });
  await older.query("ROLLBACK");
  expect(await invalid()).toEqual(["item_price_ccnew"]);
  expect(await planOf(reindex, input, shop.target)).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("postgres.drop-invalid-indexes"),
  });
  expect(await carriedOut(dropInvalidIndexes, {}, shop.target)).toMatchObject({
    result: { dropped: ["public.item_price_ccnew"] },
  });
  expect(await carriedOut(reindex, input, shop.target)).toMatchObject({ result: { rebuilt: ["public.item_price"] } });
  expect(await invalid()).toEqual([]);
});

test("a run finds what is left, asks before it clears it, clears it once somebody approves, and measures that it is gone", async () => {
  await shop.asApp("CREATE INDEX item_left_ccnew ON item (price)");
  await shop.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'item_left_ccnew'::regclass");
  const target = { ...shop.target, name: "ward", labels: { service: ["ward"] } };
  const spine = await createSpine({
    actions: new Map<string, Action>([invalidIndexes, dropInvalidIndexes].map((action) => [action.name, action])),
    targets: [target],
    playbooks: [playbook],
  });
  try {
    const run = await spine.start(alertOf());
    expect(await spine.settle(run)).toMatchObject({ state: "waiting", waitingFor: "approval" });
    expect(await invalid()).toEqual(["item_left_ccnew"]);
    const [approval] = await spine.approvals.ofRun(run);
    if (approval === undefined) throw new Error("nothing was asked");
    expect(JSON.stringify(approval.effects)).toContain("drop the invalid index public.item_left_ccnew");
    const { id, digest } = approval;
    await spine.approvals.answer({ approval: id, decision: "approve", digest, by: "api:jane", reason: null });
    expect(await spine.settle(run)).toMatchObject({ state: "ended", outcome: "fixed" });
    expect(await invalid()).toEqual([]);
  } finally {
    await spine.close();
  }
});
