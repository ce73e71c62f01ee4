import { closeStores, incoming, newStore, type TestStore } from "../support/store.ts";

jest.setTimeout(60_000);

let store: TestStore;
beforeAll(async () => {
  store = await newStore();
});
afterAll(closeStores);

const startsAt = "2026-01-05T10:00:00.000000Z";
const endsAt = "2026-01-05T10:05:00.000000Z";
const late = { kind: "ignored", reason: "late-duplicate" };

async function counts(fingerprint: string) {
  const [row] = await store.sql(
    `SELECT (SELECT count(*)::int FROM paramedic.episodes WHERE fingerprint = $1) AS episodes,
       (SELECT count(*)::int FROM paramedic.runs r JOIN paramedic.episodes e ON e.id = r.episode_id WHERE e.fingerprint = $1) AS runs,
       (SELECT string_agg(status, ',') FROM paramedic.episodes WHERE fingerprint = $1) AS status`,
    [fingerprint],
  );
  return row;
}

describe("row 4: a firing that is sent again after its resolve", () => {
  test("starts nothing", async () => {
    const fingerprint = "aa";
    await store.receive([incoming({ fingerprint, startsAt })]);
    await store.receive([incoming({ fingerprint, startsAt, status: "resolved", endsAt })]);
    expect(await store.receive([incoming({ fingerprint, startsAt })])).toEqual([late]);
    expect(await store.receive([incoming({ fingerprint, startsAt: "2026-01-05T10:00:30.000000Z" })])).toEqual([late]);
    expect(await counts(fingerprint)).toEqual({ episodes: 1, runs: 1, status: "resolved" });
  });

  test("starts nothing where the resolve was the first that was heard of it", async () => {
    const fingerprint = "bb";
    await store.receive([incoming({ fingerprint, startsAt, status: "resolved", endsAt })]);
    expect(await store.receive([incoming({ fingerprint, startsAt })])).toEqual([late]);
    expect(await counts(fingerprint)).toEqual({ episodes: 1, runs: 0, status: "resolved" });
  });

  test("a new firing of the alert is heard", async () => {
    const fingerprint = "cc";
    await store.receive([incoming({ fingerprint, startsAt })]);
    await store.receive([incoming({ fingerprint, startsAt, status: "resolved", endsAt })]);
    const [answer] = await store.receive([incoming({ fingerprint, startsAt: endsAt })]);
    expect(answer).toMatchObject({ kind: "firing", runs: [{ created: true }] });
    expect(await counts(fingerprint)).toMatchObject({ episodes: 2, runs: 2 });
  });
});
