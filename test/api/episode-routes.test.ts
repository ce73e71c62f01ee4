import { newId } from "../../src/ids.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
  for (let number = 1; number <= 5; number += 1) await receive(number, number === 5 ? "resolved" : "firing");
});
afterAll(() => server.close());

async function receive(number: number, status: "firing" | "resolved"): Promise<void> {
  const episodeId = newId();
  const alert = {
    labels: { alertname: "Sick", bed: String(number) },
    annotations: { summary: "A bed is cold" },
    startsAt: `2026-01-01T00:00:0${number}.000Z`,
    fingerprint: `000000000000000${number}`,
    generatorURL: "",
  };
  await server.receive([
    { episodeId, source: "alertmanager", alert: { ...alert, status: "firing", endsAt: null }, runs: [] },
  ]);
  if (status === "firing") return;
  const resolved = { ...alert, status, endsAt: "2026-01-01T01:00:00.000Z" };
  await server.receive([{ episodeId: newId(), source: "alertmanager", alert: resolved, runs: [] }]);
}

function get(query = "") {
  return server.call("GET", `/api/v1/episodes${query}`, { as: "screen" });
}

function beds(json: { episodes: { labels: { bed: string } }[] }): string[] {
  return json.episodes.map(({ labels }) => labels.bed);
}

test("alerts are shown as Paramedic knows them, newest first", async () => {
  const { json } = await get();
  expect(beds(json)).toEqual(["5", "4", "3", "2", "1"]);
  expect(json.episodes[1]).toEqual({
    id: expect.any(String),
    source: "alertmanager",
    fingerprint: "0000000000000004",
    labels: { alertname: "Sick", bed: "4" },
    annotations: { summary: "A bed is cold" },
    status: "firing",
    startsAt: "2026-01-01T00:00:04.000Z",
    endsAt: null,
    firstSeen: expect.stringMatching(/Z$/),
    lastSeen: expect.stringMatching(/Z$/),
    notifications: 1,
  });
  expect(json.next).toBeNull();
});

test("they are filtered by status and paged", async () => {
  expect(beds((await get("?status=resolved")).json)).toEqual(["5"]);
  const first = (await get("?status=firing&limit=3")).json;
  expect(beds(first)).toEqual(["4", "3", "2"]);
  const second = (await get(`?status=firing&limit=3&cursor=${first.next}`)).json;
  expect([beds(second), second.next]).toEqual([["1"], null]);
});

test("a cursor of runs is none of episodes", async () => {
  await server.start();
  await server.start();
  const { json } = await server.call("GET", "/api/v1/runs?limit=1");
  expect((await get(`?cursor=${json.next}`)).status).toBe(422);
  expect((await get("?status=open")).status).toBe(422);
});
