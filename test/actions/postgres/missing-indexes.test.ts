import { missingIndexes } from "../../../src/actions/postgres/missing-indexes.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { describeContract } from "../contract.ts";
import { createShop, type Shop, seen } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

describeContract("postgres.missing-indexes", {
  input: {},
  hostile: [null, { statements: 0 }, { statements: 201 }, { minRows: "1" }, { minRows: -1 }, { schema: "x" }],
  healthy: () => ({ action: missingIndexes, target: shop.target }),
  at: (port) => ({ action: missingIndexes, target: shop.at(port) }),
  state: () => shop.sql("SELECT relname, relfilenode FROM pg_class WHERE relname = 'item'"),
});

test("without pg_stat_statements it says so, and still finds foreign keys without an index", async () => {
  const output = await seen(missingIndexes, { minRows: 100 }, shop.target);
  expect(output).toMatchObject({
    looked: 0,
    suggestions: [],
    note: expect.stringContaining("CREATE EXTENSION"),
    foreignKeys: [{ table: "sale", columns: ["item_id"], references: "public.item", tableRows: 200 }],
  });
});

describe("with pg_stat_statements", () => {
  beforeAll(async () => {
    await shop.sql("CREATE EXTENSION pg_stat_statements");
    for (let n = 0; n < 3; n++) await shop.asApp(`SELECT note FROM item WHERE kind = 'kind ${n}'`);
    await shop.asApp("SELECT note FROM item WHERE kind = 'kind 1' AND note > 'w'");
    // None of these wants an index: one has it, one reads most of the table, one cannot use any.
    await shop.asApp("SELECT note FROM item WHERE id = 4");
    await shop.asApp("SELECT count(*) FROM item WHERE active");
    await shop.asApp("SELECT id FROM item WHERE note LIKE '%xyz%'");
  });

  test("suggests the columns that statements filter by, with what they cost and what an index would cost", async () => {
    const output = await seen(missingIndexes, { minRows: 10_000 }, shop.target);
    expect(output.suggestions.map(({ table, columns }) => ({ table, columns }))).toEqual(
      expect.arrayContaining([
        { table: "item", columns: ["kind"] },
        { table: "item", columns: ["kind", "note"] },
      ]),
    );
    expect(output.suggestions).toHaveLength(2);
    const simple = output.suggestions.find(({ columns }) => columns.length === 1);
    expect(simple).toMatchObject({
      calls: 3,
      tableRows: 20_000,
      existingIndexes: ["item_pkey", "item_price"],
      query: "SELECT note FROM item WHERE kind = $1",
      filter: "(item.kind = $1)",
    });
    expect(simple?.writes).toBeGreaterThanOrEqual(20_000);
    expect(simple?.selected).toBeLessThan(0.01);
  });

  test("suggests nothing for small tables", async () => {
    expect(await seen(missingIndexes, { minRows: 50_000 }, shop.target)).toMatchObject({ suggestions: [] });
  });

  test("suggests nothing any more once the index is there", async () => {
    await shop.asApp("CREATE INDEX item_kind ON item (kind)");
    expect(await seen(missingIndexes, {}, shop.target)).toMatchObject({ suggestions: [] });
  });
});
