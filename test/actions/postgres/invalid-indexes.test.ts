import { invalidIndexes } from "../../../src/actions/postgres/invalid-indexes.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { describeContract } from "../contract.ts";
import { createShop, type Shop, seen } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

describeContract("postgres.invalid-indexes", {
  input: {},
  hostile: [null, { schema: "x" }, { table: "item; DROP TABLE item" }, []],
  healthy: () => ({ action: invalidIndexes, target: shop.target }),
  at: (port) => ({ action: invalidIndexes, target: shop.at(port) }),
  state: () => shop.sql("SELECT relname, relfilenode FROM pg_class WHERE relname = 'item'"),
});

test("finds nothing where every build worked", async () => {
  expect(await seen(invalidIndexes, {}, shop.target)).toEqual({ count: 0, bytes: 0, indexes: [] });
});

test("an index that is being built is no leftover, and becomes one when the build is interrupted", async () => {
  const older = await shop.session();
  await older.client.query("BEGIN");
  await older.client.query("INSERT INTO item VALUES (-1)");
  const builder = await shop.session();
  const build = builder.start("CREATE INDEX CONCURRENTLY item_note ON item (note)");
  const building = await until(async () => {
    const read = await seen(invalidIndexes, {}, shop.target);
    return read.indexes.length === 1 && read;
  });
  expect(building).toMatchObject({ count: 0, indexes: [{ index: "item_note", building: true }] });

  await shop.admin("SELECT pg_cancel_backend($1)", [builder.pid]);
  await until(() => build.state === "57014");
  expect(await seen(invalidIndexes, {}, shop.target)).toMatchObject({
    count: 1,
    indexes: [{ schema: "public", table: "item", index: "item_note", origin: "failed build", building: false }],
  });
});

test("a failed rebuild is told from a failed build", async () => {
  const older = await shop.session();
  await older.client.query("BEGIN");
  await older.client.query("INSERT INTO item VALUES (-2)");
  const { client } = await shop.session();
  await client.query("SET lock_timeout = 300");
  await expect(client.query("REINDEX INDEX CONCURRENTLY item_price")).rejects.toMatchObject({ code: "55P03" });
  const { indexes } = await seen(invalidIndexes, {}, shop.target);
  expect(indexes).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        index: "item_price_ccnew",
        origin: "failed rebuild",
        advice: expect.stringContaining("rebuild again"),
      }),
    ]),
  );
});
