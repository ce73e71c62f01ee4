import fc from "fast-check";
import { chainStart, extend, firstBroken } from "../../src/store/chain.ts";
import { happened } from "../support/builders.ts";
import { claimedRun, closeStores, newStore, type TestStore, write } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

const at = "2026-01-05T10:00:00.000Z";
const chain = () =>
  extend(
    "run",
    { seq: 0, hash: chainStart },
    [happened.created(), happened.planned(), happened.started(), happened.finished()].map((one) => ({ at, ...one })),
  );

/** What only a superuser can do: edit the history behind the trigger's back. */
async function behindItsBack(sql: string, values: readonly unknown[]): Promise<void> {
  await store.sql("ALTER TABLE paramedic.run_events DISABLE TRIGGER append_only");
  await store.sql(sql, values);
  await store.sql("ALTER TABLE paramedic.run_events ENABLE TRIGGER append_only");
}

async function fourEvents(): Promise<string> {
  return (
    await write(
      store,
      await claimedRun(store),
      [happened.planned("d1", ["é \ud83d"]), happened.started(), happened.finished()],
      { state: "released" },
    )
  ).id;
}

describe("the chain", () => {
  test("holds as it was made", () => {
    expect(firstBroken("run", chain())).toBeNull();
    expect(firstBroken("run", [])).toBeNull();
  });

  test("does not hold for another run, in another order, with a gap or with other text", () => {
    const links = chain();
    expect(firstBroken("other", links)).toBe(1);
    expect(firstBroken("run", [links[0], links[2], links[1], links[3]] as typeof links)).toBe(2);
    expect(
      firstBroken(
        "run",
        links.filter((link) => link.seq !== 3),
      ),
    ).toBe(3);
    expect(
      firstBroken(
        "run",
        links.map((link) => (link.seq === 3 ? { ...link, text: `${link.text} ` } : link)),
      ),
    ).toBe(3);
    expect(
      firstBroken(
        "run",
        links.map((link) => (link.seq === 2 ? { ...link, prevHash: chainStart } : link)),
      ),
    ).toBe(2);
  });
});

describe("a stored history", () => {
  test("can be checked in plain SQL", async () => {
    const id = await fourEvents();
    const rows = await store.sql(
      `SELECT seq, hash = sha256(prev_hash || convert_to(run_id || E'\\n' || seq || E'\\n' || event::text, 'UTF8')) AS fits,
         prev_hash = coalesce(lag(hash) OVER (ORDER BY seq), decode(repeat('00', 32), 'hex')) AS follows
       FROM paramedic.run_events WHERE run_id = $1 ORDER BY seq`,
      [id],
    );
    expect(rows).toEqual([1, 2, 3, 4].map((seq) => ({ seq, fits: true, follows: true })));
  });

  test.each([
    [
      "an edited event",
      "UPDATE paramedic.run_events SET event = replace(event::text, 'change', 'chance')::json WHERE run_id = $1 AND seq = 3",
      3,
    ],
    [
      "an event edited to mean the same",
      "UPDATE paramedic.run_events SET event = (event::text || ' ')::json WHERE run_id = $1 AND seq = 2",
      2,
    ],
    ["an edited first event", "UPDATE paramedic.run_events SET hash = sha256('x') WHERE run_id = $1 AND seq = 1", 1],
    ["an event taken out of the middle", "DELETE FROM paramedic.run_events WHERE run_id = $1 AND seq = 2", 2],
    ["events cut off at the end", "DELETE FROM paramedic.run_events WHERE run_id = $1 AND seq >= 3", 3],
    ["all events gone", "DELETE FROM paramedic.run_events WHERE run_id = $1", 1],
    [
      "an event made up at the end, with its hashes",
      `INSERT INTO paramedic.run_events SELECT run_id, 5, '{"type":"x"}', hash, sha256(hash || convert_to(run_id || E'\\n5\\n{"type":"x"}', 'UTF8'))
       FROM paramedic.run_events WHERE run_id = $1 AND seq = 4`,
      5,
    ],
    [
      "a last event rewritten with its hash",
      `UPDATE paramedic.run_events SET event = '{"type":"x"}', hash = sha256(prev_hash || convert_to(run_id || E'\\n4\\n{"type":"x"}', 'UTF8'))
       WHERE run_id = $1 AND seq = 4`,
      4,
    ],
  ])("names the place of %s", async (_, sql, place) => {
    const id = await fourEvents();
    expect(await store.reads.firstBrokenEvent(id)).toBeNull();
    await behindItsBack(sql, [id]);
    expect(await store.reads.firstBrokenEvent(id)).toBe(place);
  });

  test("of a run that never was is not broken", async () => {
    expect(await store.reads.firstBrokenEvent("00000000-0000-7000-8000-000000000000")).toBeNull();
  });
});

/** JSON whose strings and names are made of any UTF-16 units, most of them of the kinds that Postgres is particular about. */
const unit = fc.oneof(
  fc.constantFrom("\u0000", "\ud83d", "\ude00", "\\", '"', "u0000", "\n"),
  fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)),
);
const text = fc.string({ unit, maxLength: 8 });
const foreign = fc.letrec((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    text,
    fc.integer(),
    fc.array(tie("json"), { maxLength: 3 }),
    fc.dictionary(text, tie("json"), { maxKeys: 3 }),
  ),
})).json;

test("whatever an event holds, Postgres can take it apart", async () => {
  await fc.assert(
    fc.asyncProperty(foreign, async (output) => {
      const observed = { at, type: "step-observed", step: "look", output, durationMs: 1 } as never;
      const [link] = extend("run", { seq: 0, hash: chainStart }, [observed]);
      const { rows } = await store.database.pool.query<{ type: string; output: string; whole: object }>(
        "SELECT e ->> 'type' AS type, e ->> 'output' AS output, e::jsonb AS whole FROM (SELECT $1::json AS e) AS given",
        [link?.text],
      );
      expect(rows[0]?.type).toBe("step-observed");
    }),
    { numRuns: 300 },
  );
});
