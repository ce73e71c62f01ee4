import { createIndex } from "../../../src/actions/postgres/create-index.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { heldByLock } from "./held.ts";
import { carriedOut, createShop, planOf, type Shop } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

const indexes = () => shop.sql("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1");
const definition = async (name: string) => (await indexes()).find((row) => row["indexname"] === name)?.["indexdef"];

describeContract("postgres.create-index", {
  input: { table: "item", columns: ["kind"] },
  hostile: [
    null,
    {},
    { table: "item" },
    { table: "item", columns: [] },
    { table: "item", columns: "kind" },
    { table: "item", columns: ["kind", "kind"] },
    { table: "item", columns: ["x".repeat(64)] },
    { table: "item", columns: ["kind"], condition: "active = true" },
    { table: "item", columns: ["kind"], name: "x" },
    { table: "item", columns: ["ki\0nd"] },
  ],
  healthy: () => ({ action: createIndex, target: shop.target }),
  at: (port) => ({ action: createIndex, target: shop.at(port) }),
  arrange: async () => {
    await shop.asApp("DROP INDEX IF EXISTS item_kind_idx");
  },
  state: indexes,
  midway: {
    hold: () => heldByLock(shop, "item", "SHARE UPDATE EXCLUSIVE", "CREATE INDEX"),
    told: { status: "unknown", reason: expect.stringContaining("was begun") },
    probed: "not-applied",
  },
});

test("builds an index on several columns where a boolean column is true", async () => {
  const input = { table: "item", columns: ["kind", "price"], conditionColumn: "active" };
  const planned = await planOf(createIndex, input, shop.target);
  expect(planned).toMatchObject({
    effects: [
      expect.stringMatching(
        /^CREATE INDEX CONCURRENTLY item_kind_price_if_active_idx ON public\.item \(kind, price\) WHERE active \(the table has/,
      ),
      expect.stringContaining("postgres.dataFolder"),
    ],
  });
  expect(await carriedOut(createIndex, input, shop.target)).toEqual({
    status: "done",
    result: { index: "item_kind_price_if_active_idx", built: true },
  });
  expect(await planOf(createIndex, input, shop.target)).toMatchObject({ status: "planned", effects: [] });
});

test("builds one where another column is not null, and finds it again", async () => {
  const input = { table: "item", columns: ["price"], conditionColumn: "note" };
  expect(await carriedOut(createIndex, input, shop.target)).toMatchObject({ status: "done", result: { built: true } });
  expect(await definition("item_price_if_note_idx")).toContain("(price) WHERE (note IS NOT NULL)");
  expect(await planOf(createIndex, input, shop.target)).toMatchObject({ effects: [] });
});

test("an index of the same columns is enough, whatever its name", async () => {
  expect(await planOf(createIndex, { table: "item", columns: ["price"] }, shop.target)).toMatchObject({ effects: [] });
});

test.each([
  ["sorts by another operator class", "kind text_pattern_ops"],
  ["has another collation", 'kind COLLATE "C"'],
  ["sorts downwards", "kind DESC"],
  ["has some rows only", "kind) WHERE (price > 5"],
  ["is of an expression", "lower(kind)"],
])("an index that %s is another one, for probing as well", async (_what, columns) => {
  await shop.asApp("DROP INDEX IF EXISTS item_kind_idx");
  await shop.asApp(`CREATE INDEX item_other ON item (${columns})`);
  const planned = await planOf(createIndex, { table: "item", columns: ["kind"] }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  expect(planned.effects[0]).toContain("CREATE INDEX CONCURRENTLY item_kind_idx");
  const probe = () => createIndex.probe?.(planned.plan, contextFor(shop.target));
  expect(await probe()).toBe("not-applied");
  expect(await createIndex.apply(planned.plan, contextFor(shop.target))).toMatchObject({ result: { built: true } });
  expect(await probe()).toBe("applied");
  await shop.asApp("DROP INDEX item_other");
});

test("columns that an index only carries along are no columns of it", async () => {
  await shop.asApp("CREATE INDEX item_carrying ON item (kind) INCLUDE (note)");
  const planned = await planOf(createIndex, { table: "item", columns: ["kind", "note"] }, shop.target);
  expect(planned).toMatchObject({ effects: [expect.stringContaining("item_kind_note_idx"), expect.anything()] });
});

test.each(["varchar(40)", "citext_like", "text[]", "mood", 'text COLLATE "C"'])(
  "an index of a column of type %s is found again",
  async (type) => {
    await shop.sql("DROP TABLE IF EXISTS odd");
    await shop.sql("DROP TYPE IF EXISTS mood");
    await shop.sql("DROP DOMAIN IF EXISTS citext_like");
    await shop.sql("CREATE TYPE mood AS ENUM ('good', 'bad')");
    await shop.sql("CREATE DOMAIN citext_like AS varchar(40)");
    await shop.sql(`CREATE TABLE odd (x ${type})`);
    await shop.sql(`ALTER TABLE odd OWNER TO ${shop.app}`);
    const input = { table: "odd", columns: ["x"] };
    expect(await carriedOut(createIndex, input, shop.target)).toMatchObject({ result: { built: true } });
    expect(await planOf(createIndex, input, shop.target)).toMatchObject({ effects: [] });
  },
);

test("hostile names that exist are quoted by the server, in names of at most 63 bytes", async () => {
  const table = `t"; DROP TABLE sale; --`;
  const column = `c"o'l); DROP TABLE sale; -- ${"ü".repeat(15)}`;
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
  await shop.asApp(`CREATE TABLE ${quoted(table)} (${quoted(column)} int)`);
  const outcome = await carriedOut(createIndex, { table, columns: [column], conditionColumn: column }, shop.target);
  expect(outcome).toMatchObject({ status: "done", result: { built: true } });
  const name = outcome.status === "done" ? String((outcome.result as { index: string }).index) : "";
  expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
  expect(await definition(name)).toContain(quoted(column));
  expect(await shop.sql("SELECT count(*)::int AS n FROM sale")).toEqual([{ n: 200 }]);
});

test.each([
  [{ table: "item", columns: ["kind); DROP TABLE sale; --"] }, "has no column"],
  [{ table: "item", columns: ["lower(kind)"] }, "has no column"],
  [{ table: "item", columns: ["kind"], conditionColumn: "active = true" }, "has no column"],
  [{ table: "item", columns: ["ctid"] }, "has no column"],
  [{ table: "item$(id)", columns: ["kind"] }, "There is no table"],
  [{ schema: "pg_catalog", table: "pg_class", columns: ["relname"] }, "not in an allowed schema"],
])("%j is refused", async (input, words) => {
  expect(await planOf(createIndex, input, shop.target)).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining(words),
  });
});

test("what the server cannot index is refused with its reason, and nothing is left", async () => {
  await shop.asApp("CREATE TABLE shape (at point)");
  expect(await carriedOut(createIndex, { table: "shape", columns: ["at"] }, shop.target)).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining("42704"),
  });
  expect(await shop.sql("SELECT FROM pg_index WHERE NOT indisvalid")).toEqual([]);
});

test("probing tells what has become of the index", async () => {
  const planned = await planOf(createIndex, { table: "item", columns: ["note"] }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  const probe = () => createIndex.probe?.(planned.plan, contextFor(shop.target));
  expect(await probe()).toBe("not-applied");
  expect(await createIndex.apply(planned.plan, contextFor(shop.target))).toMatchObject({ status: "done" });
  expect(await probe()).toBe("applied");
  await shop.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'item_note_idx'::regclass");
  expect(await probe()).toBe("not-applied");
  expect(await createIndex.apply(planned.plan, contextFor(shop.target))).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("postgres.drop-invalid-indexes"),
  });
});
