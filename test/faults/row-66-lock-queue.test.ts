/** Row 66: maintenance behind an idle transaction delays readers no longer than its lock time-out, says "busy", tries again and gives up. */

import { vacuum } from "../../src/actions/postgres/vacuum.ts";
import { parseMaintenanceWindow } from "../../src/domain/maintenance-window.ts";
import { contextFor } from "../actions/context.ts";
import { createShop, planOf, type Shop } from "../actions/postgres/shop.ts";
import { sharedPostgres } from "../support/postgres.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

afterEach(() => shop.closeSessions());

const lockTimeoutMs = 500;

test("a rewrite behind an idle transaction: readers wait at most the lock time-out, the step is busy and gives up", async () => {
  const window = parseMaintenanceWindow("daily 00:00-24:00 UTC");
  const target = shop.targetWith({ maintenance: window ? [window] : [] });
  const planned = await planOf(vacuum, { tables: ["item"], full: true }, target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  const { client: idle } = await shop.session();
  await idle.query("BEGIN");
  await idle.query("SELECT count(*) FROM item");

  const lines: string[] = [];
  let applying = true;
  const applied = vacuum.apply(planned.plan, contextFor(target, undefined, lines)).finally(() => {
    applying = false;
  });
  const { client: reader } = await shop.session();
  const waits: number[] = [];
  while (applying) {
    const started = performance.now();
    await reader.query("SELECT price FROM item WHERE id = 7");
    waits.push(performance.now() - started);
  }
  expect(await applied).toMatchObject({
    status: "failed",
    retryable: true,
    reason: expect.stringContaining("is busy"),
  });
  expect(lines.filter((line) => line.includes("busy"))).toHaveLength(2);
  // Somebody did wait behind it, and nobody for longer than that.
  expect(Math.max(...waits)).toBeGreaterThan(lockTimeoutMs / 2);
  expect(Math.max(...waits)).toBeLessThanOrEqual(lockTimeoutMs + 100);
  expect(await shop.sql("SELECT relfilenode::int8::float8 AS file FROM pg_class WHERE relname = 'item'")).toEqual([
    { file: planned.plan.tables[0]?.file },
  ]);
});
