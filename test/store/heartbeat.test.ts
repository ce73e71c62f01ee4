import { createHeartbeatTurns } from "../../src/store/heartbeat.ts";
import { closeStores, newStore, sameStore, type TestStore } from "../support/store.ts";
import { until } from "../support/until.ts";

let store: TestStore;

beforeAll(async () => {
  store = await newStore();
});

afterAll(closeStores);

test("of many workers one has the turn, and gives it back for when the next one is due", async () => {
  const turns = Array.from({ length: 4 }, () => createHeartbeatTurns(sameStore(store.url).database));
  const [mine] = turns as [(typeof turns)[number]];
  const taken = async () => (await Promise.all(turns.map((one) => one.take(60_000)))).filter(Boolean).length;
  expect(await mine.lastSeconds()).toBeNaN();
  expect(await taken()).toBe(1);
  expect(await taken()).toBe(0);
  await mine.again(0);
  expect(await mine.lastSeconds()).toBeNaN();
  expect(await taken()).toBe(1);
  await mine.sent(60_000);
  expect(await taken()).toBe(0);
  const [row] = await store.sql("SELECT extract(epoch FROM sent_at)::float8 AS at FROM paramedic.heartbeat");
  expect(await mine.lastSeconds()).toBe(row?.["at"]);
  expect(Math.abs((row?.["at"] as number) * 1_000 - Date.now())).toBeLessThan(60_000);
});

test("the turn of a worker that was killed passes on when its time is over", async () => {
  const turns = createHeartbeatTurns(store.database);
  await turns.again(0);
  expect(await turns.take(300)).toBe(true);
  await until(() => turns.take(60_000), { what: "the turn to pass on" });
});

test("a store that can be read and not written gives no turn", async () => {
  const turns = createHeartbeatTurns(store.database);
  await turns.again(0);
  const database = new URL(store.url).pathname.slice(1);
  await store.sql(`ALTER DATABASE "${database}" SET default_transaction_read_only = on`);
  const { database: reader } = sameStore(store.url);
  await expect(createHeartbeatTurns(reader).take(60_000)).rejects.toThrow("read-only");
  expect(await createHeartbeatTurns(reader).lastSeconds()).toBeGreaterThan(0);
});
