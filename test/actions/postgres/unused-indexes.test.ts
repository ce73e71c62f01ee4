import { unusedIndexes } from "../../../src/actions/postgres/unused-indexes.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { describeContract } from "../contract.ts";
import { createShop, type Shop, seen } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
  await shop.sql(`
    CREATE TABLE part (id int PRIMARY KEY, code text UNIQUE, colour text, span int4range, EXCLUDE USING gist (span WITH &&));
    INSERT INTO part SELECT n, 'c' || n, 'red', int4range(n, n + 1) FROM generate_series(1, 2000) n;
    CREATE INDEX part_colour ON part (colour);
    CREATE INDEX part_id_again ON part (id, colour);
    CREATE SCHEMA elsewhere;
    CREATE TABLE elsewhere.part (id int);
    CREATE INDEX elsewhere_id ON elsewhere.part (id);
    ANALYZE part`);
}, 90_000);

afterEach(() => shop.closeSessions());

const namesOf = async (given: object = {}) => {
  const { indexes } = await seen(unusedIndexes, { mostScans: 0, minBytes: 0, ...given }, shop.target);
  return indexes.filter(({ table }) => table === "part").map(({ index }) => index);
};

describeContract("postgres.unused-indexes", {
  input: {},
  hostile: [null, [], { mostScans: -1 }, { mostScans: "0; DROP TABLE item" }, { schema: "elsewhere" }],
  healthy: () => ({ action: unusedIndexes, target: shop.target }),
  at: (port) => ({ action: unusedIndexes, target: shop.at(port) }),
  state: () => shop.sql("SELECT relname, relfilenode FROM pg_class WHERE relname LIKE 'part%' ORDER BY 1"),
});

test("indexes that nobody read are told, but none that keeps rows apart or is in another schema", async () => {
  expect((await namesOf()).sort()).toEqual(["part_colour", "part_id_again"]);
  const output = await seen(unusedIndexes, { mostScans: 0, minBytes: 0 }, shop.target);
  expect(output).toMatchObject({ replicas: false, count: output.indexes.length, bytes: expect.any(Number) });
  expect(output.bytes).toBeGreaterThan(16_000);
});

test("an index that was read is not unused any more, unless some reads are allowed", async () => {
  await shop.sql("SET enable_seqscan = off; SELECT count(*) FROM part WHERE colour = 'blue'");
  await until(async () => (await namesOf()).join() === "part_id_again", { what: "the read to be counted" });
  expect((await namesOf({ mostScans: 100 })).sort()).toEqual(["part_colour", "part_id_again"]);
  expect(await namesOf({ minBytes: 1_000_000_000 })).toEqual([]);
});
