import { tableSizes } from "../../../src/actions/postgres/table-sizes.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { describeContract } from "../contract.ts";
import { createShop, type Shop, seen } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

describeContract("postgres.table-sizes", {
  input: {},
  hostile: [null, { atMost: 0 }, { atMost: "1" }, { atMost: 501 }, { schema: "pg_catalog" }],
  healthy: () => ({ action: tableSizes, target: shop.target }),
  at: (port) => ({ action: tableSizes, target: shop.at(port) }),
  state: () => shop.sql("SELECT relname, relfilenode FROM pg_class WHERE relname = 'item'"),
});

test("lists the largest first, with what they are made of and what maintenance they need", async () => {
  await shop.asApp("UPDATE item SET price = price + 1 WHERE id <= 5000");
  const output = await until(async () => {
    const read = await seen(tableSizes, {}, shop.target);
    return (read.tables[0]?.deadRows ?? 0) >= 5_000 && read;
  });
  expect(output.tables.map(({ table }) => table)).toEqual(["item", "sale"]);
  const [item] = output.tables;
  expect(item).toMatchObject({ schema: "public", rows: 20_000, changedSinceAnalyze: 5_000, lastVacuum: "" });
  expect(item?.lastAnalyze).toMatch(/^\d{4}-.*Z$/);
  expect(item?.deadRatio).toBeCloseTo(0.2, 1);
  expect((item?.tableBytes ?? 0) + (item?.indexBytes ?? 0)).toBe(item?.totalBytes);
  expect(output.databaseBytes).toBeGreaterThan(item?.totalBytes ?? 0);
});

test("lists only what the target allows", async () => {
  await shop.sql("CREATE SCHEMA hidden");
  await shop.sql("CREATE TABLE hidden.secret AS SELECT generate_series(1, 100000) n");
  expect((await seen(tableSizes, {}, shop.target)).tables.map(({ schema }) => schema)).toEqual(["public", "public"]);
  const wider = shop.targetWith({ schemas: ["hidden"] });
  expect(await seen(tableSizes, { atMost: 5 }, wider)).toMatchObject({ tables: [{ schema: "hidden", rows: -1 }] });
});

test("does not wait for a table that somebody has locked, and says that it left it out", async () => {
  const { client } = await shop.session();
  await client.query("BEGIN");
  await client.query("LOCK TABLE item IN ACCESS EXCLUSIVE MODE");
  expect(await seen(tableSizes, {}, shop.target)).toMatchObject({ locked: 1, tables: [{ table: "sale" }] });
});
