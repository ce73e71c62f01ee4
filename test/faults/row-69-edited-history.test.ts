import { happened } from "../support/builders.ts";
import { claimedRun, closeStores, newStore, type TestStore, write } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

describe("row 69: somebody edits or deletes a line of a history", () => {
  test.each([
    ["UPDATE", "UPDATE paramedic.run_events SET event = '{}'"],
    ["UPDATE", "UPDATE paramedic.run_events SET seq = seq WHERE false"],
    ["DELETE", "DELETE FROM paramedic.run_events"],
    ["TRUNCATE", "TRUNCATE paramedic.run_events"],
    ["DELETE", "DELETE FROM paramedic.runs", "runs"],
    ["TRUNCATE", "TRUNCATE paramedic.runs CASCADE", "runs"],
  ])("%s is refused even to the owner: %s", async (operation, sql, table = "run_events") => {
    const run = await claimedRun(store);
    await expect(store.sql(sql)).rejects.toThrow(`paramedic.${table} is append-only: ${operation} refused`);
    expect(await store.reads.events(run.id, 0)).toHaveLength(1);
  });

  test("what a superuser edits behind the trigger's back is named", async () => {
    const run = await write(store, await claimedRun(store), [
      happened.planned(),
      happened.started(),
      happened.finished(),
    ]);
    await store.sql("ALTER TABLE paramedic.run_events DISABLE TRIGGER append_only");
    await store.sql(
      "UPDATE paramedic.run_events SET event = replace(event::text, 'would change', 'harmless')::json WHERE run_id = $1 AND seq = 2",
      [run.id],
    );
    await store.sql("ALTER TABLE paramedic.run_events ENABLE TRIGGER append_only");
    expect(await store.reads.firstBrokenEvent(run.id)).toBe(2);
  });
});
