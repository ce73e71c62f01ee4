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
