import { vacuum } from "../../../src/actions/postgres/vacuum.ts";
import { parseMaintenanceWindow } from "../../../src/domain/maintenance-window.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { describeContract, type Midway } from "../contract.ts";
import { trapIn } from "./held.ts";
import { createShop, inputFor, planOf, type Shop } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

const always = parseMaintenanceWindow("daily 00:00-24:00 UTC");
const inWindow = () => shop.targetWith({ maintenance: always ? [always] : [] });
const size = async () => shop.sql("SELECT pg_relation_size('item') AS bytes, (SELECT count(*) FROM item) AS rows");

const hostile = [
  null,
  { tables: [] },
  { tables: ["item"], full: "yes" },
  { full: true },
  { tables: ["item"], full: true, options: "DISABLE_PAGE_SKIPPING" },
  { minDeadRows: 0 },
];

async function dead() {
  await shop.asApp("UPDATE item SET price = price + 1");
}

const midway: Midway = {
  hold: async () => {
    const trap = trapIn(shop);
    await trap.install("item", "id");
    const held = await trap.spring();
    return { ...held, release: () => held.release().then(trap.remove) };
  },
  told: { status: "unknown", reason: expect.stringContaining("was begun") },
};

describe("plain", () => {
  const allVisible = () => shop.sql("SELECT relallvisible > 0 AS visible FROM pg_class WHERE relname = 'item'");
  describeContract("postgres.vacuum", {
    input: { tables: ["item"] },
    hostile,
    healthy: () => ({ action: vacuum, target: shop.target }),
    at: (port) => ({ action: vacuum, target: shop.at(port) }),
    arrange: dead,
    state: async () => [await allVisible(), await shop.sql("SELECT count(*) FROM item WHERE price >= 0")],
    midway,
  });
});

describe("full, inside a window", () => {
  describeContract("postgres.vacuum", {
    input: { tables: ["item"], full: true },
    hostile,
    healthy: () => ({ action: vacuum, target: inWindow() }),
    at: (port) => ({
      action: vacuum,
      target: { ...shop.at(port), postgres: { ...inWindow().postgres, ...shop.at(port).postgres } as never },
    }),
    arrange: dead,
    state: async () => [await size(), await shop.sql("SELECT relfilenode FROM pg_class WHERE relname = 'item'")],
    midway,
  });

  test("the plan says what is rewritten and that nobody can read it meanwhile", async () => {
    expect(await planOf(vacuum, { tables: ["item"], full: true }, inWindow())).toMatchObject({
      effects: [
        expect.stringMatching(/^rewrite public\.item \([\d.]+ MiB\): nobody can read or write it until that is done$/),
        expect.stringContaining("see postgres.dataFolder"),
      ],
    });
  });
});

test("full is refused where no window is configured or none is open, when planned and when applied", async () => {
  const input = { tables: ["item"], full: true };
  expect(await planOf(vacuum, input, shop.target)).toMatchObject({
    reason: expect.stringContaining("the target has none"),
  });
  const planned = await planOf(vacuum, input, inWindow());
  if (planned.status !== "planned") throw new Error(planned.reason);
  const sunday = parseMaintenanceWindow("Sun 02:00-05:00 UTC");
  const target = shop.targetWith({ maintenance: sunday ? [sunday] : [] });
  const at = (time: string) => ({ ...contextFor(target), now: () => Date.parse(time) });
  const closed = { status: "failed", retryable: false, reason: expect.stringContaining("Sun 02:00-05:00 UTC") };
  expect(await vacuum.plan(inputFor(vacuum, input), at("2026-11-22T06:00:00Z"))).toMatchObject(closed);
  // What is left of the window is not worth beginning.
  expect(await vacuum.plan(inputFor(vacuum, input), at("2026-11-22T04:59:30Z"))).toMatchObject(closed);
  expect(await vacuum.apply(planned.plan, at("2026-11-22T06:00:00Z"))).toMatchObject(closed);
  expect(await vacuum.apply(planned.plan, at("2026-11-22T03:00:00Z"))).toMatchObject({ status: "done" });
});

test("without names it takes the tables with the most dead rows", async () => {
  await dead();
  const planned = await until(async () => {
    const made = await planOf(vacuum, { minDeadRows: 10_000 }, shop.target);
    return made.status === "planned" && made.effects.length > 0 && made;
  });
  expect(planned.effects).toEqual(["vacuum and analyze public.item"]);
});

test.each([
  [{}, "low"],
  [{ full: false }, "low"],
  [{ full: true }, "irreversible"],
  [{ full: ["$", "{{ inputs.full }}"].join("") }, "irreversible"],
])("with %j its risk is %s", (given, risk) => {
  expect(vacuum.riskOf?.(given)).toBe(risk);
});

test.each([true, false])(
  "with full: %s, a table that is busy after another was vacuumed is not called unchanged",
  async (full) => {
    const planned = await planOf(vacuum, { tables: ["sale", "item"], full }, inWindow());
    if (planned.status !== "planned") throw new Error(planned.reason);
    const { client } = await shop.session();
    await client.query("BEGIN");
    await client.query("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE");
    expect(await vacuum.apply(planned.plan, contextFor(inWindow()))).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringMatching(/^public\.item is busy.* Vacuumed before that: public\.sale\.$/),
    });
  },
  30_000,
);

test("an abort ends it in the server, too", async () => {
  await shop.asApp("CREATE TABLE big AS SELECT n, repeat('y', 900) AS pad FROM generate_series(1, 60000) n");
  const { client } = await shop.session();
  await client.query("BEGIN");
  await client.query("LOCK TABLE big IN SHARE UPDATE EXCLUSIVE MODE");
  const planned = await planOf(vacuum, { tables: ["big"] }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  const abort = new AbortController();
  const outcome = vacuum.apply(planned.plan, contextFor(shop.target, abort.signal));
  const working = `SELECT FROM pg_stat_activity WHERE usename = '${shop.carer}' AND query LIKE 'VACUUM%'`;
  await until(async () => (await shop.admin(working)).length === 1);
  abort.abort();
  expect(await outcome).toMatchObject({ status: "unknown", reason: expect.stringContaining("was begun") });
  await until(async () => (await shop.admin(working)).length === 0, { timeoutMs: 1_500 });
});
