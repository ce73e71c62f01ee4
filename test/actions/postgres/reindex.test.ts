import { reindex } from "../../../src/actions/postgres/reindex.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { heldByLock } from "./held.ts";
import { createShop, planOf, type Shop } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

const indexes = () =>
  shop.sql(
    `SELECT c.relname, c.oid, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      WHERE i.indrelid = 'item'::regclass ORDER BY 1`,
  );

describeContract("postgres.reindex", {
  input: { table: "item" },
  hostile: [
    null,
    {},
    { table: "" },
    { table: 5 },
    { table: "item", indexes: [] },
    { table: "item", indexes: "item_price" },
    { table: "item", indexes: ["x".repeat(64)] },
    { table: "item", concurrently: false },
    { table: "a\0b" },
  ],
  healthy: () => ({ action: reindex, target: shop.target }),
  at: (port) => ({ action: reindex, target: shop.at(port) }),
  arrange: async () => {},
  state: indexes,
  midway: {
    hold: () => heldByLock(shop, "item", "SHARE UPDATE EXCLUSIVE", "REINDEX"),
    told: { status: "unknown", reason: expect.stringContaining("was begun") },
  },
});

test("rebuilds what is named and nothing else, and says how large it is", async () => {
  const before = await indexes();
  const planned = await planOf(reindex, { table: "item", indexes: ["item_price"] }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  expect(planned.effects[0]).toMatch(/^rebuild public\.item_price of public\.item \([\d.]+ KiB\)$/);
  expect(await reindex.apply(planned.plan, contextFor(shop.target))).toEqual({
    status: "done",
    result: { rebuilt: ["public.item_price"], gone: [] },
  });
  const after = await indexes();
  expect(after.map((index, n) => index["oid"] === before[n]?.["oid"])).toEqual([true, false]);
  expect(after.every((index) => index["indisvalid"])).toBe(true);
});

test.each([
  [{ table: "nowhere" }, "There is no table"],
  [{ table: "item", indexes: ["item_price; DROP TABLE sale"] }, "has no valid index of the name"],
  [{ table: "item", indexes: ["sale_pkey"] }, "has no valid index of the name"],
  [{ schema: "pg_catalog", table: "pg_class" }, "not in an allowed schema"],
])("%j is refused", async (input, words) => {
  expect(await planOf(reindex, input, shop.target)).toMatchObject({
    status: "failed",
    reason: expect.stringContaining(words),
  });
});

test("an abort ends the rebuild in the server, and the outcome is not called undone", async () => {
  const older = await shop.session();
  await older.client.query("BEGIN");
  await older.client.query("INSERT INTO item VALUES (-9)");
  const planned = await planOf(reindex, { table: "item", indexes: ["item_price"] }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  const abort = new AbortController();
  const outcome = reindex.apply(planned.plan, contextFor(shop.target, abort.signal));
  const working = `SELECT FROM pg_stat_activity WHERE usename = '${shop.carer}' AND query LIKE 'REINDEX%'`;
  await until(async () => (await shop.admin(working)).length === 1);
  abort.abort();
  expect(await outcome).toMatchObject({ status: "unknown", reason: expect.stringContaining("was begun") });
  await until(async () => (await shop.admin(working)).length === 0, { timeoutMs: 3_000 });
});
