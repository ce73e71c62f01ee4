import { dropInvalidIndexes } from "../../../src/actions/postgres/drop-invalid-indexes.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { heldByLock } from "./held.ts";
import { createShop, planOf, type Shop } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

const leave = async (table: string, name: string) => {
  await shop.asApp(`CREATE INDEX IF NOT EXISTS ${name} ON ${table} (id)`);
  await shop.sql(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = '${name}'::regclass`);
};
const indexes = () => shop.sql("SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1");

describeContract("postgres.drop-invalid-indexes", {
  input: { table: "item" },
  hostile: [null, { table: "" }, { indexes: ["item_price"] }, { table: ["item"] }, { table: "item", cascade: true }],
  healthy: () => ({ action: dropInvalidIndexes, target: shop.target }),
  at: (port) => ({ action: dropInvalidIndexes, target: shop.at(port) }),
  arrange: () => leave("item", "item_left_ccnew"),
  state: indexes,
  midway: {
    hold: () => heldByLock(shop, "item", "SHARE", "DROP INDEX"),
    told: { status: "unknown", reason: expect.stringContaining("was begun") },
  },
});

test("drops what is left of a build, and no index that has become valid since it was planned", async () => {
  await leave("item", "item_left_ccnew");
  await leave("sale", "sale_left");
  const planned = await planOf(dropInvalidIndexes, {}, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  expect(planned.effects).toEqual(
    expect.arrayContaining([
      expect.stringMatching(
        /^drop the invalid index public\.item_left_ccnew \([\d.]+ KiB, of a failed rebuild\)\. Drop it/,
      ),
      expect.stringMatching(/^drop the invalid index public\.sale_left \(.*of a failed build\)/),
    ]),
  );
  await shop.sql("UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'sale_left'::regclass");
  expect(await dropInvalidIndexes.apply(planned.plan, contextFor(shop.target))).toEqual({
    status: "done",
    result: { dropped: ["public.item_left_ccnew"], gone: ["public.sale_left"] },
  });
  expect((await indexes()).map((row) => row["indexname"])).toEqual([
    "item_pkey",
    "item_price",
    "sale_left",
    "sale_pkey",
  ]);
});

test("a schema that is named is the only one that is looked at, and has to be allowed", async () => {
  await leave("item", "item_left_ccnew");
  await shop.asApp("CREATE SCHEMA audit");
  const both = shop.targetWith({ schemas: ["public", "audit"] });
  expect(await planOf(dropInvalidIndexes, {}, both)).toMatchObject({
    plan: { indexes: [{ index: "item_left_ccnew" }] },
  });
  expect(await planOf(dropInvalidIndexes, { schema: "audit" }, both)).toMatchObject({ plan: { indexes: [] } });
  expect(await planOf(dropInvalidIndexes, { schema: "audit" }, shop.target)).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("not allowed (public)"),
  });
  await shop.sql("DROP INDEX item_left_ccnew");
});

test("never plans to drop an index of a constraint", async () => {
  await shop.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'sale_pkey'::regclass");
  expect(await planOf(dropInvalidIndexes, {}, shop.target)).toEqual({
    status: "planned",
    plan: { indexes: [] },
    effects: [],
  });
});
