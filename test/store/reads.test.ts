import type { RunFilter } from "../../src/store/reads.ts";
import { happened } from "../support/builders.ts";
import { claimOf, closeStores, incoming, newStore, storedRun, type TestStore, write } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
const ids: string[] = [];
beforeAll(async () => {
  store = await newStore();
  for (let index = 0; index < 12; index++) {
    ids.unshift(
      await storedRun(store, { playbook: index % 2 ? "odd" : "even", target: index % 3 ? `db${index}` : null }),
    );
  }
  for (const id of ids.slice(0, 3))
    await write(store, await claimOf(store, id), [happened.ended("failed")], { state: "ended", outcome: "failed" });
});
afterAll(closeStores);

const all: RunFilter = { state: null, outcome: null, playbook: null, target: null, limit: 100, before: null };
const idsOf = async (filter: Partial<RunFilter>) =>
  (await store.reads.runs({ ...all, ...filter })).map((run) => run.id);

describe("reading runs", () => {
  test("lists them from new to old", async () => {
    expect(await idsOf({})).toEqual(ids);
  });

  test("pages without a gap and without a repetition", async () => {
    const pages: string[] = [];
    for (let before: string | null = null; ; before = pages.at(-1) ?? null) {
      const page = await idsOf({ limit: 5, before });
      pages.push(...page);
      if (page.length < 5) break;
    }
    expect(pages).toEqual(ids);
  });

  test("filters by what they are, and by all of it together", async () => {
    expect(await idsOf({ state: "ended" })).toEqual(ids.slice(0, 3));
    expect(await idsOf({ outcome: "failed", limit: 1 })).toEqual(ids.slice(0, 1));
    expect(await idsOf({ playbook: "odd" })).toEqual(ids.filter((_, index) => index % 2 === 0));
    expect(await idsOf({ target: "db11" })).toEqual([ids[0]]);
    expect(await idsOf({ playbook: "odd", state: "ready", before: ids[4] ?? null, limit: 1 })).toEqual([ids[6]]);
    expect(await idsOf({ playbook: "' OR true --" })).toEqual([]);
  });

  test("tells of many at once what has happened since, each after its own position", async () => {
    const [one, two, three] = ids as [string, string, string];
    const news = await store.reads.news(
      new Map([
        [one, 0],
        [two, 1],
        [three, 2],
      ]),
    );
    expect([...news].map(([run, events]) => [run, events.map(({ seq, type }) => [seq, type])]).sort()).toEqual(
      [
        [
          one,
          [
            [1, "created"],
            [2, "ended"],
          ],
        ],
        [two, [[2, "ended"]]],
      ].sort(),
    );
  });

  test("shows one of them as it stands", async () => {
    expect(await store.reads.run(ids[0] ?? "")).toEqual({
      id: ids[0],
      playbook: "odd",
      playbookHash: "sha256:00",
      target: "db11",
      trigger: "request",
      requestedBy: "api:tests",
      episodeId: null,
      dryRun: false,
      state: "ended",
      waitingFor: null,
      outcome: "failed",
      dueAt: null,
      createdAt: expect.any(String),
      endedAt: expect.any(String),
    });
    expect((await store.reads.run(ids[11] ?? ""))?.target).toBeNull();
    expect(await store.reads.run("00000000-0000-7000-8000-000000000000")).toBeNull();
  });

  test("gives the events after one that is known", async () => {
    expect((await store.reads.events(ids[0] ?? "", 1)).map((event) => event.seq)).toEqual([2]);
    expect(await store.reads.events(ids[0] ?? "", 2)).toEqual([]);
  });
});

describe("reading runs of one state or outcome while very many newer ones wait", () => {
  const idOf = (position: number) =>
    position
      .toString(16)
      .padStart(32, "0")
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  const outcomeOf = (position: number) => (position % 10 === 0 ? "failed" : "fixed");
  const ended = Array.from({ length: 16_000 }, (_, index) => 16_000 - index);
  let many: TestStore;
  beforeAll(async () => {
    many = await newStore();
    await many.sql(
      `INSERT INTO paramedic.runs (id, playbook, playbook_hash, target, lock_key, trigger, state, outcome, last_seq, last_hash)
       SELECT lpad(to_hex(n), 32, '0')::uuid, 'p', 'sha256:00', 't' || n % 50, n::text, 'request',
         CASE WHEN n > 16000 THEN 'waiting' ELSE 'ended' END,
         CASE WHEN n > 16000 THEN NULL WHEN n % 10 = 0 THEN 'failed' ELSE 'fixed' END, 0, ''
       FROM generate_series(1, 20000) n`,
    );
    await many.sql("ANALYZE paramedic.runs");
  });

  /** The page, and what Postgres did for it. */
  async function page(filter: Partial<RunFilter>) {
    const query = jest.spyOn(many.database.people, "query");
    const rows = await many.reads.runs({ ...all, ...filter });
    const [text, values] = query.mock.calls[0] as unknown as [string, string[]];
    query.mockRestore();
    const plan = await many.sql(`EXPLAIN (ANALYZE) ${text}`, values);
    return { ids: rows.map(({ id }) => id), plan: plan.map((line) => line["QUERY PLAN"]).join("\n") };
  }

  test.each<[string, Partial<RunFilter>, (position: number) => boolean]>([
    ["runs_ended", { state: "ended" }, () => true],
    ["runs_ended", { state: "ended", before: idOf(9_001) }, (position) => position < 9_001],
    ["runs_by_outcome", { outcome: "failed" }, (position) => outcomeOf(position) === "failed"],
    ["runs_by_outcome", { outcome: "fixed" }, (position) => outcomeOf(position) === "fixed"],
    [
      "runs_by_outcome",
      { outcome: "failed", before: idOf(8_000) },
      (position) => outcomeOf(position) === "failed" && position < 8_000,
    ],
    [
      "runs_by_outcome",
      { outcome: "failed", before: idOf(19_000), state: "ended", playbook: "p" },
      (position) => outcomeOf(position) === "failed",
    ],
  ])("%s gives the page of %j and nothing else is looked at", async (index, filter, belongs) => {
    const { ids, plan } = await page({ ...filter, limit: 50 });
    expect(ids).toEqual(ended.filter(belongs).slice(0, 50).map(idOf));
    expect(plan).toContain(`using ${index} on runs`);
    expect(plan).not.toContain("Rows Removed");
    expect(plan).not.toContain("Sort");
  });

  test("pages of one outcome have no gap and no repetition", async () => {
    const failed = ended.filter((position) => outcomeOf(position) === "failed").map(idOf);
    const read: string[] = [];
    for (let before: string | null = null; ; before = read.at(-1) ?? null) {
      const { ids } = await page({ outcome: "failed", before, limit: 300 });
      read.push(...ids);
      if (ids.length < 300) break;
    }
    expect(read).toEqual(failed);
  });

  test("the outcome goes together with a target, and with no state but the end", async () => {
    const { ids } = await page({ outcome: "failed", target: "t10", before: idOf(15_000), limit: 3 });
    expect(ids).toEqual([14_960, 14_910, 14_860].map(idOf));
    expect(await many.reads.runs({ ...all, outcome: "failed", state: "waiting" })).toEqual([]);
  });
});

describe("reading episodes", () => {
  test("pages and filters", async () => {
    for (let index = 0; index < 5; index++) await store.receive([incoming({ fingerprint: `f${index}` })]);
    await store.receive([incoming({ fingerprint: "f0", status: "resolved", endsAt: "2026-01-05T11:00:00.000000Z" })]);
    const prints = async (filter: { status: "firing" | "resolved" | null; limit: number; before: string | null }) =>
      (await store.reads.episodes(filter)).map((episode) => episode.fingerprint);
    expect(await prints({ status: null, limit: 9, before: null })).toEqual(["f4", "f3", "f2", "f1", "f0"]);
    expect(await prints({ status: "resolved", limit: 9, before: null })).toEqual(["f0"]);
    const page = await store.reads.episodes({ status: "firing", limit: 2, before: null });
    expect(await prints({ status: "firing", limit: 9, before: page.at(-1)?.id ?? null })).toEqual(["f2", "f1"]);
    expect(page[0]).toMatchObject({
      source: "am",
      status: "firing",
      startsAt: "2026-01-05T10:00:00.000Z",
      endsAt: null,
      notifications: 1,
      labels: { alertname: "Test", service: "db" },
    });
  });
});

describe("ping", () => {
  test("throws where the store cannot be used", async () => {
    await store.reads.ping();
    const broken = await newStore();
    await broken.sql("DROP TABLE paramedic.switches CASCADE");
    await expect(broken.reads.ping()).rejects.toThrow(/does not exist/);
  });
});
