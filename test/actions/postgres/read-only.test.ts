import { readOnly } from "../../../src/actions/postgres/read-only.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { carriedOut, createShop, planOf, type Shop } from "./shop.ts";

let shop: Shop;

beforeAll(async () => {
  shop = await createShop(await sharedPostgres());
}, 90_000);

const reset = async () => {
  await shop.admin(`ALTER DATABASE ${shop.database} RESET default_transaction_read_only`);
};
afterEach(async () => {
  await shop.closeSessions();
  await reset();
});

const settings = () =>
  shop.sql(
    `SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
      WHERE d.datname = current_database()`,
  );
const write = () => shop.asApp("UPDATE item SET price = price WHERE id = 1");
const mayWrite = () =>
  write().then(
    () => true,
    (error: { code?: string }) => {
      if (error.code === "25006") return false;
      throw error;
    },
  );

describeContract("postgres.read-only", {
  input: {},
  hostile: [null, { graceSeconds: -1 }, { graceSeconds: 301 }, { graceSeconds: "0" }, { database: "postgres" }],
  healthy: () => ({ action: readOnly, target: shop.target }),
  at: (port) => ({ action: readOnly, target: shop.at(port) }),
  arrange: reset,
  state: settings,
  midway: {
    hold: async () => {
      const { start, pid } = await shop.session();
      start("SELECT pg_sleep(600)");
      return {
        inside: async () => (await settings()).length > 0,
        ended: async () =>
          expect(await shop.admin("SELECT FROM pg_stat_activity WHERE pid = $1", [pid])).toHaveLength(1),
        release: () => shop.closeSessions(),
      };
    },
    told: { status: "unknown", reason: expect.stringContaining("not every session ended") },
  },
});

test("new sessions and those that were there can only read, until it is reverted, and then all can write", async () => {
  const pooled = await shop.session();
  const planned = await planOf(readOnly, { graceSeconds: 5 }, shop.target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  expect(planned.effects).toEqual([
    `make the database ${shop.database} read-only for every session that begins from now on (before: not set)`,
    "end the sessions of allowed users there (1 now), each when it is idle, at the latest after 5 s",
  ]);
  expect(await readOnly.apply(planned.plan, contextFor(shop.target))).toEqual({
    status: "done",
    result: { ended: 1, interrupted: 0, left: 0, others: 0 },
  });
  await expect(pooled.client.query("SELECT 1")).rejects.toThrow();
  expect(await mayWrite()).toBe(false);
  expect(await shop.asApp("SELECT count(*)::int AS n FROM sale")).toEqual([{ n: 200 }]);

  const reading = await shop.session();
  expect(await readOnly.revert?.(planned.plan, contextFor(shop.target))).toMatchObject({
    status: "done",
    result: { ended: 1 },
  });
  await expect(reading.client.query("SELECT 1")).rejects.toThrow();
  expect(await mayWrite()).toBe(true);
  expect(await settings()).toEqual([]);
  expect(await readOnly.revert?.(planned.plan, contextFor(shop.target))).toMatchObject({ status: "done" });
});

test("a session at work may finish within the grace, and is interrupted after it", async () => {
  const quick = await shop.session();
  const finished = quick.start("SELECT pg_sleep(0.5)");
  const stuck = await shop.session();
  const running = stuck.start("SELECT pg_sleep(600)");
  expect(await carriedOut(readOnly, { graceSeconds: 2 }, shop.target)).toMatchObject({
    status: "done",
    result: { ended: 1, interrupted: 1, left: 0 },
  });
  await until(() => running.state !== "running");
  expect([finished.state, running.state]).toEqual(["done", "57P01"]);
});

test("where a session does not react it is not called done, and says which", async () => {
  const stuck = await shop.session();
  process.kill(stuck.pid, "SIGSTOP");
  try {
    expect(await carriedOut(readOnly, { graceSeconds: 0 }, shop.target)).toEqual({
      status: "unknown",
      reason: expect.stringMatching(new RegExp(`1 that began before were still there .* \\(pid ${stuck.pid}\\)`)),
    });
    expect(await mayWrite()).toBe(false);
  } finally {
    process.kill(stuck.pid, "SIGCONT");
  }
});

test("a plan that is made anew after a crash still knows what was set before", async () => {
  await shop.admin(`ALTER DATABASE ${shop.database} SET default_transaction_read_only = off`);
  const first = await planOf(readOnly, {}, shop.target);
  if (first.status !== "planned") throw new Error(first.reason);
  expect(first.plan.before).toBe("off");
  await readOnly.apply(first.plan, contextFor(shop.target));
  const second = await planOf(readOnly, {}, shop.target);
  expect(second).toMatchObject({ status: "planned", plan: first.plan });
  expect((second as { effects: readonly string[] }).effects).toHaveLength(2);
  await readOnly.revert?.(first.plan, contextFor(shop.target));
  expect(await settings()).toEqual([{ setconfig: ["default_transaction_read_only=off"] }]);
});

test("where somebody else made it read-only there is nothing to do, and nothing of theirs is reverted", async () => {
  await shop.admin(`ALTER DATABASE ${shop.database} SET default_transaction_read_only = on`);
  const planned = await planOf(readOnly, {}, shop.target);
  expect(planned).toMatchObject({ status: "planned", effects: [] });
  if (planned.status === "planned") await readOnly.revert?.(planned.plan, contextFor(shop.target));
  expect(await settings()).toEqual([{ setconfig: ["default_transaction_read_only=on"] }]);
});

test("sessions of other users are left alone, and people are told that they may write", async () => {
  const other = await shop.role("other");
  const session = await shop.session({ connectionString: shop.urlOf(other) });
  expect(await planOf(readOnly, {}, shop.target)).toMatchObject({
    effects: expect.arrayContaining(["(1 sessions of other users stay as they are and may go on writing)"]),
  });
  expect(await carriedOut(readOnly, {}, shop.target)).toMatchObject({ status: "done", result: { others: 1 } });
  expect((await session.client.query("SELECT 1 AS n")).rows).toEqual([{ n: 1 }]);
});

test("a role whose own setting would win is refused, and so is a database of somebody else", async () => {
  await shop.admin(`ALTER ROLE ${shop.app} SET default_transaction_read_only = off`);
  expect(await planOf(readOnly, {}, shop.target)).toMatchObject({ reason: expect.stringContaining("of its own") });
  await shop.admin(`ALTER ROLE ${shop.app} RESET default_transaction_read_only`);
  const url = String(shop.target.postgres?.url).replace(shop.carer, shop.healer);
  expect(await planOf(readOnly, {}, shop.targetWith({ url }))).toMatchObject({
    reason: expect.stringContaining("does not own the database"),
  });
});

test("two of them are put back one by one, in both orders, and the last one makes it writable", async () => {
  const apply = async () => {
    const planned = await planOf(readOnly, { graceSeconds: 0 }, shop.target);
    if (planned.status !== "planned") throw new Error(planned.reason);
    expect(await readOnly.apply(planned.plan, contextFor(shop.target))).toMatchObject({ status: "done" });
    return planned.plan;
  };
  await shop.admin(`ALTER DATABASE ${shop.database} SET default_transaction_read_only = off`);
  const [first, second] = [await apply(), await apply()];
  // Whichever is put back first gives way, and nothing is done.
  expect(readOnly.restack?.(first, second)).toEqual({ lower: null, upper: second, upperFirst: null });
  expect(await mayWrite()).toBe(false);
  for (const last of [first, second]) {
    await readOnly.revert?.(last, contextFor(shop.target));
    expect(await settings()).toEqual([{ setconfig: ["default_transaction_read_only=off"] }]);
    await apply();
  }
  expect(readOnly.restack?.({ ...first, database: "other" }, second)).toEqual({
    lower: { ...first, database: "other" },
    upper: second,
  });
});
