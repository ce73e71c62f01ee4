import { happened } from "../support/builders.ts";
import { query } from "../support/postgres.ts";
import {
  appendOf,
  claimedRun,
  closeStores,
  newStore,
  sameStore,
  storedRun,
  type TestStore,
  write,
} from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeEach(async () => {
  store = await newStore();
});
afterEach(closeStores);

describe("row 34: the kill switch cannot be read", () => {
  test("without its row everything is paused: claims say so and intents are refused", async () => {
    const run = await write(store, await claimedRun(store), [happened.planned()]);
    await store.sql("DELETE FROM paramedic.switches");
    expect(await store.append(appendOf(run, [happened.started()]))).toEqual({ kind: "paused" });
    expect(await store.claims.claim(await storedRun(store, { target: "other" }))).toMatchObject({ paused: true });
    expect(await store.claims.reload(run)).toMatchObject({ paused: true });
    await expect(store.switches.read()).rejects.toThrow("the kill switch has no row");
    await store.switches.set({ paused: false, reason: "back", by: "ann", until: null });
    expect((await store.append(appendOf(run, [happened.started()]))).kind).toBe("written");
  });

  test("without the right to read it nothing is claimed and nothing starts", async () => {
    const role = `app_${new URL(store.url).pathname.slice(1)}`;
    await store.sql(`CREATE ROLE ${role} LOGIN`);
    await store.sql(`GRANT USAGE ON SCHEMA paramedic TO ${role}`);
    await store.sql(`GRANT ALL ON ALL TABLES IN SCHEMA paramedic TO ${role}`);
    const url = new URL(store.url);
    url.username = role;
    const app = sameStore(url.href);
    const [first, second] = [await storedRun(store, { target: "a" }), await storedRun(store, { target: "b" })];
    const run = await app.claims.claim(first);
    if (!run) throw new Error("the role can work while it may read the switch");
    const planned = await write(app, run, [happened.planned()]);

    await query(store.url, `REVOKE ALL ON paramedic.switches FROM ${role}`);
    await expect(app.claims.claim(second)).rejects.toThrow("permission denied");
    await expect(app.append(appendOf(planned, [happened.started()]))).rejects.toThrow("permission denied");
    expect(await store.reads.run(second)).toMatchObject({ state: "ready" });
    expect((await store.reads.events(first, 2)).map((event) => event.type)).toEqual([]);
    await expect(app.switches.read()).rejects.toThrow("permission denied");
  });

  test("without its table nothing is claimed", async () => {
    const id = await storedRun(store);
    await store.sql("ALTER TABLE paramedic.switches RENAME TO gone");
    await expect(store.claims.claim(id)).rejects.toThrow();
    expect(await store.reads.run(id)).toMatchObject({ state: "ready" });
  });
});
