import { slowQueries } from "../../../src/actions/postgres/slow-queries.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { createShop, inputFor, type Shop, seen } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
  await shop.sql("CREATE EXTENSION pg_stat_statements");
}, 90_000);

/** What made the tables counts too, and on a busy machine it was slow. */
const forget = (schema = "public") =>
  shop.sql(
    `SELECT ${schema}.pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()))`,
  );
const slow = () => shop.asApp("SELECT pg_sleep(0.12), 'Jane' AS customer, count(*) FROM item WHERE note = $1", ["x"]);

describeContract("postgres.slow-queries", {
  input: { minMeanMs: 0 },
  hostile: [
    null,
    { minMeanMs: "0" },
    { minMeanMs: -1 },
    { atMost: 0 },
    { atMost: 101 },
    { by: "total; DROP TABLE item" },
    { users: ["postgres"] },
  ],
  healthy: () => ({ action: slowQueries, target: shop.target }),
  at: (port) => ({ action: slowQueries, target: shop.at(port) }),
  state: () => shop.sql("SELECT relname, relfilenode FROM pg_class WHERE relname = 'item'"),
});

test("finds the statement that took long, how often, and its share, without its literals", async () => {
  await forget();
  await slow();
  await slow();
  const output = await seen(slowQueries, { minMeanMs: 100 }, shop.target);
  expect(output.found).toBe(1);
  expect(output.slowestMeanMs).toBeGreaterThanOrEqual(100);
  expect(output.statements[0]).toMatchObject({
    calls: 2,
    users: [shop.app],
    rowsPerCall: 1,
    query: expect.stringMatching(
      /^SELECT pg_sleep\(\$\d\), \$\d AS customer, count\(\*\) FROM item WHERE note = \$\d$/,
    ),
  });
  expect(output.statements[0]?.share).toBeGreaterThan(0.3);
  expect(output.since).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(JSON.stringify(output)).not.toContain("Jane");
});

test("tells how much of the time only reads, as a replica could", async () => {
  await forget();
  const reads = ["SELECT pg_sleep(0.2)", "WITH one AS (SELECT 1) SELECT pg_sleep(0.1) FROM one"];
  const others = [
    "UPDATE item SET note = note WHERE id = (SELECT min(id) FROM item) AND pg_sleep(0.1) IS NOT NULL",
    "WITH gone AS (DELETE FROM item WHERE false RETURNING 1) SELECT pg_sleep(0.1) FROM (SELECT count(*) FROM gone) c",
    "SELECT id, pg_sleep(0.1) FROM item WHERE id = 1 FOR UPDATE",
    "SELECT id, pg_sleep(0.1) FROM item WHERE id = 1 FOR SHARE",
  ];
  for (const text of [...reads, ...others]) await shop.asApp(text);
  const { readShare } = await seen(slowQueries, { minMeanMs: 0, atMost: 1 }, shop.target);
  expect(readShare).toBeGreaterThan(0.3);
  expect(readShare).toBeLessThan(0.55);
  await forget();
  await shop.asApp("UPDATE item SET note = note WHERE false");
  expect(await seen(slowQueries, { minMeanMs: 0 }, shop.target)).toMatchObject({ readShare: expect.any(Number) });
});

test("shows nothing of users and databases that are not allowed", async () => {
  await shop.sql("SELECT pg_sleep(0.15), 1 AS superuser_was_here");
  const output = await seen(slowQueries, { minMeanMs: 0, atMost: 100 }, shop.target);
  expect(JSON.stringify(output)).not.toContain("superuser_was_here");
  const elsewhere = shop.targetWith({ databases: ["postgres"] });
  expect(await slowQueries.observe(inputFor(slowQueries, {}), contextFor(elsewhere))).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("is not among the allowed databases"),
  });
});

test("says what to do where the extension is missing", async () => {
  await shop.sql("DROP EXTENSION pg_stat_statements");
  try {
    const observed = await slowQueries.observe(inputFor(slowQueries, {}), contextFor(shop.target));
    expect(observed).toMatchObject({ status: "failed", retryable: false });
    expect(observed).toMatchObject({ reason: expect.stringContaining("CREATE EXTENSION pg_stat_statements") });
    expect(JSON.stringify(observed)).not.toContain(canary);
  } finally {
    await shop.sql('CREATE SCHEMA "Odd "" schema"');
    await shop.sql(`GRANT USAGE ON SCHEMA "Odd "" schema" TO ${shop.carer}`);
    await shop.sql('CREATE EXTENSION pg_stat_statements SCHEMA "Odd "" schema"');
    await shop.sql(`GRANT USAGE ON SCHEMA "Odd "" schema" TO ${shop.carer}`);
  }
});

test("finds the extension in whatever schema it is", async () => {
  await forget('"Odd "" schema"');
  await slow();
  expect((await seen(slowQueries, { minMeanMs: 100 }, shop.target)).found).toBe(1);
});
