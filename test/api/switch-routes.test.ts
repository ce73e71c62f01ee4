import { type ApiServer, startApiServer } from "../support/api-server.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeEach(async () => {
  server = await startApiServer();
});
afterEach(() => server.close());

function put(body: unknown) {
  return server.call("PUT", "/api/v1/switch", { as: "lead", body });
}

async function read() {
  return (await server.call("GET", "/api/v1/switch", { as: "screen" })).json;
}

test("it is off at first, and says who turned it, when and why", async () => {
  expect(await read()).toMatchObject({ paused: false, reason: null, by: null, until: null });
  const { status, json } = await put({ paused: true, reason: "the ward is being painted" });
  expect(status).toBe(200);
  expect(json).toEqual({
    paused: true,
    reason: "the ward is being painted",
    by: "api:lead",
    since: expect.stringMatching(/Z$/),
    until: null,
  });
  expect(await read()).toEqual(json);
  expect(server.lines.at(-1)).toMatchObject({ level: "warn", fields: { who: "api:lead", what: "pause" } });
});

test("it may turn itself off at a time, which may be said in any zone", async () => {
  const { json } = await put({ paused: true, reason: "r", until: "2999-01-01T01:00:00+01:00" });
  expect(json.until).toBe("2999-01-01T00:00:00.000Z");
});

test("turning it off wakes the runs that wait for it", async () => {
  const run = await server.start();
  await server.write(run, [], { state: "waiting", for: "switch", dueAt: Date.now() + 60_000 });
  await put({ paused: true, reason: "r" });
  server.hinted.length = 0;
  await put({ paused: false, reason: "done" });
  expect(server.hinted).toEqual([run]);
  expect(await read()).toMatchObject({ paused: false, reason: "done" });
});

test.each([
  ["nothing", {}, ["paused", "reason"]],
  ["no reason", { paused: true, reason: " " }, ["reason"]],
  ["a word for a boolean", { paused: "true", reason: "r" }, ["paused"]],
  ["a time that is past", { paused: true, reason: "r", until: "2020-01-01T00:00:00Z" }, ["until"]],
  ["a day that is none", { paused: true, reason: "r", until: "2999-02-30T00:00:00Z" }, ["until"]],
  ["a time without a zone", { paused: true, reason: "r", until: "2999-01-01T00:00:00" }, ["until"]],
  ["a duration", { paused: true, reason: "r", until: "10m" }, ["until"]],
  ["an end of what is not on", { paused: false, reason: "r", until: "2999-01-01T00:00:00Z" }, ["until"]],
])("%s is 422 and changes nothing", async (_case, body, fields) => {
  const answer = await put(body);
  expect(answer.status).toBe(422);
  expect(answer.json.errors.map(({ field }: { field: string }) => field)).toEqual(fields);
  expect((await read()).by).toBeNull();
});
