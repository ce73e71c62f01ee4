import { analyze } from "../../../src/actions/postgres/analyze.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { trapIn } from "./held.ts";
import { createShop, planOf, type Shop } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

const statistics = () =>
  shop.sql(
    `SELECT c.relname, c.reltuples, (SELECT count(*) FROM pg_stats s WHERE s.tablename = c.relname) AS columns
       FROM pg_class c WHERE c.relname IN ('item', 'sale', 'fresh') ORDER BY 1`,
  );

describeContract("postgres.analyze", {
  input: { tables: ["fresh"] },
  hostile: [
    null,
    { tables: [] },
    { tables: "item" },
    { tables: [""] },
    { tables: ["x".repeat(64)] },
    { tables: ["a\0b"] },
    { schema: "" },
    { atMost: 0 },
    { sql: "DROP TABLE item" },
  ],
  healthy: () => ({ action: analyze, target: shop.target }),
  at: (port) => ({ action: analyze, target: shop.at(port) }),
  arrange: async () => {
    await shop.asApp("DROP TABLE IF EXISTS fresh");
    await shop.asApp("CREATE TABLE fresh WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 1000) n");
  },
  state: statistics,
  midway: {
    hold: async () => {
      const trap = trapIn(shop);
      await trap.install("fresh", "n");
      return trap.spring();
    },
    told: { status: "unknown", reason: expect.stringContaining("was begun") },
  },
});

test("without names it takes the tables that changed since they were last analyzed, the most changed first", async () => {
  await shop.asApp("DROP TABLE IF EXISTS fresh");
  await shop.asApp("ANALYZE item, sale");
  await shop.asApp("UPDATE sale SET at = now()");
  await shop.asApp("UPDATE item SET price = 1 WHERE id <= 150");
  const planned = await until(async () => {
    const made = await planOf(analyze, {}, shop.target);
    return made.status === "planned" && made.effects.length === 2 && made;
  });
  expect(planned.effects).toEqual(["analyze public.sale", "analyze public.item"]);
  expect(await planOf(analyze, { minChangedRows: 180 }, shop.target)).toMatchObject({
    effects: ["analyze public.sale"],
  });
  expect(await planOf(analyze, { atMost: 1 }, shop.target)).toMatchObject({ effects: ["analyze public.sale"] });
  expect(await analyze.apply(planned.plan, contextFor(shop.target))).toEqual({
    status: "done",
    result: { analyzed: ["public.sale", "public.item"], gone: [] },
  });
  expect(await planOf(analyze, {}, shop.target)).toMatchObject({ effects: [] });
});

test("a table that was replaced since it was planned is left alone and said to be gone", async () => {
  await shop.asApp("CREATE TABLE brief AS SELECT 1 AS n");
  const planned = await planOf(analyze, { tables: ["brief"] }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  await shop.asApp("DROP TABLE brief");
  await shop.asApp("CREATE TABLE brief AS SELECT 1 AS n");
  expect(await analyze.apply(planned.plan, contextFor(shop.target))).toEqual({
    status: "done",
    result: { analyzed: [], gone: ["public.brief"] },
  });
});

test("a table that is busy after another was analyzed is not called unchanged", async () => {
  const planned = await planOf(analyze, { tables: ["sale", "item"] }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  const { client } = await shop.session();
  await client.query("BEGIN");
  await client.query("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE");
  expect(await analyze.apply(planned.plan, contextFor(shop.target))).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringMatching(/^public\.item is busy.* Analyzed before that: public\.sale\.$/),
  });
}, 30_000);

test.each([
  [{ tables: ["nowhere"] }, "There is no table public.nowhere"],
  [{ tables: ["item; DROP TABLE item"] }, "There is no table"],
  [{ tables: ['item" CASCADE; --'] }, "There is no table"],
  [{ tables: ["ITEM"] }, "names are compared as they are stored"],
  [{ schema: "pg_catalog", tables: ["pg_class"] }, "not in an allowed schema"],
  [{ schema: "pg_catalog" }, "is not allowed"],
])("%j is refused with what to do", async (input, words) => {
  expect(await planOf(analyze, input, shop.target)).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining(words),
  });
});

test("a table whose name is hostile is analyzed as what it is", async () => {
  const name = `it"em'; DROP TABLE sale; --`;
  await shop.asApp(`CREATE TABLE "${name.replaceAll('"', '""')}" AS SELECT 1 AS n`);
  const planned = await planOf(analyze, { tables: [name] }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  expect(await analyze.apply(planned.plan, contextFor(shop.target))).toMatchObject({
    status: "done",
    result: { gone: [] },
  });
  expect(await shop.sql("SELECT count(*)::int AS n FROM sale")).toEqual([{ n: 200 }]);
});

test("a role without the rights is told whose it needs", async () => {
  const url = String(shop.target.postgres?.url).replace(shop.carer, shop.healer);
  expect(await planOf(analyze, { tables: ["item"] }, shop.targetWith({ url }))).toMatchObject({
    status: "failed",
    reason: expect.stringContaining(`GRANT "${shop.app}"`),
  });
});
