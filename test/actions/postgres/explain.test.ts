import { explain } from "../../../src/actions/postgres/explain.ts";
import { slowQueries } from "../../../src/actions/postgres/slow-queries.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { createShop, inputFor, type Shop, seen } from "./shop.ts";

let shop: Shop;
let queryId: string;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
  await shop.sql("CREATE EXTENSION pg_stat_statements");
  await shop.asApp("SELECT id, note FROM item WHERE kind = 'kind 7'");
  queryId = await idOf("SELECT id, note FROM item");
}, 90_000);

async function idOf(start: string): Promise<string> {
  const { statements } = await seen(slowQueries, { minMeanMs: 0, atMost: 100 }, shop.target);
  const found = statements.find(({ query }) => query.startsWith(start));
  if (!found) throw new Error(`${start} is not among ${JSON.stringify(statements)}`);
  return found.queryId;
}

const observed = (id: string, target = shop.target) =>
  explain.observe(inputFor(explain, { queryId: id }), contextFor(target));

// The contract needs an input before the database is there; that no such statement is known is tested below.
describe("with a known statement", () => {
  const input = { queryId: "1" };
  beforeAll(() => {
    input.queryId = queryId;
  });

  describeContract("postgres.explain", {
    input,
    hostile: [
      null,
      {},
      { queryId: 12 },
      { queryId: "" },
      { queryId: "1; DROP TABLE item" },
      { queryId: "SELECT 1" },
      { queryId: "1", analyze: true },
    ],
    healthy: () => ({ action: explain, target: shop.target }),
    at: (port) => ({ action: explain, target: shop.at(port) }),
    state: () => shop.sql("SELECT relname, relfilenode FROM pg_class WHERE relname = 'item'"),
  });
});

test("shows the generic plan, with the table that is read whole and without literals", async () => {
  const output = await seen(explain, { queryId }, shop.target);
  expect(output).toMatchObject({
    queryId,
    query: "SELECT id, note FROM item WHERE kind = $1",
    wholeTables: ["public.item"],
    nodes: [{ depth: 0, node: "Seq Scan", table: "public.item", filter: "(item.kind = $1)" }],
  });
  expect(output.totalCost).toBeGreaterThan(100);
});

test("never runs the statement: neither what it writes nor what it calls happens", async () => {
  await shop.asApp("CREATE TABLE trace (n int)");
  await shop.asApp(`CREATE FUNCTION leave_trace() RETURNS int LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN INSERT INTO trace VALUES (1); RETURN 1; END $$`);
  await shop.asApp("DELETE FROM trace WHERE n = leave_trace()");
  await shop.asApp("SELECT leave_trace() AS left_trace");
  const before = await shop.asApp("SELECT count(*)::int AS n FROM trace");
  expect(await observed(await idOf("DELETE FROM trace"))).toMatchObject({ status: "observed" });
  expect(await observed(await idOf("SELECT leave_trace()"))).toMatchObject({ status: "observed" });
  expect(await shop.asApp("SELECT count(*)::int AS n FROM trace")).toEqual(before);
});

test.each([
  ["CREATE TABLE trash AS SELECT 1 AS n", "CREATE TABLE trash", "not of a kind that has a plan"],
  ["SELECT interval '1 day' AS one_day", "SELECT interval", "no statement that can be planned"],
  ["SET work_mem = '5MB'", "SET work_mem", "not of a kind that has a plan"],
])("%s is refused with a reason", async (statement, start, words) => {
  await shop.asApp(statement);
  expect(await observed(await idOf(start))).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining(words),
  });
});

test("a statement that is not known, or of somebody else, is refused", async () => {
  await shop.sql("SELECT count(*) AS of_superuser FROM item");
  const [row] = await shop.sql("SELECT queryid::text AS id FROM pg_stat_statements WHERE query LIKE '%of_superuser%'");
  for (const id of ["1", "-9223372036854775808", "9999999999999999999", String(row?.["id"])]) {
    expect(await observed(id)).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("knows no statement"),
    });
  }
});

test("a role that may not read the tables is told what it lacks", async () => {
  const postgres = shop.target.postgres;
  const blind = shop.targetWith({ url: String(postgres?.url).replace(shop.carer, shop.healer) });
  expect(await observed(queryId, blind)).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("pg_read_all_data"),
  });
});
