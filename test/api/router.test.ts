import { type AddressInfo, connect as connectSocket, createServer, type Socket } from "node:net";
import { connect } from "../../src/store/connect.ts";
import { createReads } from "../../src/store/reads.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { freePort } from "../support/free-port.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.close());

test("it is alive and ready, and says so to anybody", async () => {
  expect(await server.call("GET", "/healthz", { as: null })).toMatchObject({ status: 200, json: { status: "ok" } });
  expect(await server.call("GET", "/readyz", { as: null })).toMatchObject({
    status: 200,
    json: { store: "ok", queue: "ok" },
  });
});

test("it is not ready only where the store is not", async () => {
  const degraded = { ready: true, body: { store: "ok", queue: "degraded" } };
  const unusable = { ready: false, body: { store: "unusable", queue: "ok" } };
  for (const [readiness, status] of [
    [degraded, 200],
    [unusable, 503],
  ] as const) {
    const other = await startApiServer({ readiness: async () => readiness });
    expect(await other.call("GET", "/readyz", { as: null })).toMatchObject({ status, json: readiness.body });
    await other.close();
  }
});

test("metrics are Prometheus' text", async () => {
  const answer = await server.call("GET", "/metrics", { as: "screen" });
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toMatch(/^text\/plain; version=0.0.4/);
  expect(answer.text).toContain("paramedic_build_info");
});

test("a known path names its methods, an unknown one is a 404", async () => {
  const wrong = await server.call("DELETE", "/api/v1/runs");
  expect([wrong.status, wrong.headers.allow]).toEqual([405, "POST, GET, HEAD"]);
  expect(wrong.json.type).toMatch(/method-not-allowed$/);
  expect((await server.call("OPTIONS", "/api/v1/switch")).status).toBe(405);
  expect((await server.call("POST", "/healthz", { as: null })).status).toBe(405);
  const unknown = await server.call("GET", "/api/v2/runs");
  expect([unknown.status, unknown.json.type]).toEqual([404, "urn:paramedic:problem:not-found"]);
});

test("HEAD tells what GET would, without the body, and follows nothing", async () => {
  const run = await server.start();
  for (const path of ["/healthz", "/api/v1/runs", `/api/v1/runs/${run}/events`]) {
    expect(await server.call("HEAD", path)).toMatchObject({ status: 200, text: "" });
  }
});

test("no answer invites other origins, names its software or may be kept", async () => {
  for (const path of ["/healthz", "/api/v1/runs", "/api/v1/nonsense", "/metrics"]) {
    const { headers } = await server.call("GET", path, { headers: { origin: "https://evil.example" } });
    expect(Object.keys(headers).filter((name) => /^access-control|^x-powered-by$|^server$/.test(name))).toEqual([]);
    expect(headers["cache-control"]).toBe("no-store");
  }
});

const posts = [
  ["POST", "/api/v1/runs"],
  ["POST", "/api/v1/runs/0199b2c0-0000-7000-8000-000000000000/cancel"],
  ["POST", "/api/v1/approvals/0199b2c0-0000-7000-8000-000000000000"],
  ["PUT", "/api/v1/switch"],
] as const;

test.each(posts)("%s %s reads JSON of at most a mebibyte and nothing else", async (method, path) => {
  const call = (body: unknown, headers: Record<string, string> = {}) => server.call(method, path, { body, headers });
  expect((await call("{}", { "content-type": "text/plain" })).status).toBe(415);
  expect((await call("{}", { "content-encoding": "gzip" })).status).toBe(415);
  expect((await call("{")).status).toBe(400);
  expect((await call(undefined)).status).toBe(415);
  expect((await call("[".repeat(10_000) + "]".repeat(10_000))).status).toBe(400);
  expect((await call("{}".padEnd(1_048_576))).status).toBe(422);
  expect((await call("{}".padEnd(1_048_577))).status).toBe(413);
});

test("a body without a token is not waited for", async () => {
  const answer = await new Promise<string>((resolve) => {
    const socket = connectSocket(server.port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
    socket.write("POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n{");
  });
  expect(answer).toMatch(/^HTTP\/1\.1 401 /);
});

test("a caller who goes away in the middle of a body costs nothing", async () => {
  const socket = connectSocket(server.port, "127.0.0.1");
  socket.on("error", () => {});
  const head =
    "POST /api/v1/runs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-of-chief\r\n" +
    "Content-Type: application/json\r\nContent-Length: 900\r\nExpect: 100-continue\r\n\r\n";
  socket.write(head);
  // The server has read the head when it asks for the body.
  await new Promise((resolve) => socket.once("data", resolve));
  socket.write("{");
  socket.destroy();
  expect((await server.call("GET", "/api/v1/runs")).status).toBe(200);
  expect(server.lines.filter(({ level }) => level === "error")).toEqual([]);
});

test("while the store is away the answer is 503 and to try again, not a bug", async () => {
  const port = await freePort();
  const away = connect(`postgres://postgres@127.0.0.1:${port}/gone`);
  const reads = createReads(away);
  const other = await startApiServer({ store: { ...reads, requests: {}, approvals: {}, switches: {} } as never });
  const answer = await other.call("GET", "/api/v1/runs");
  expect(answer.status).toBe(503);
  expect(answer.headers["retry-after"]).toBe("5");
  expect(answer.json.type).toMatch(/store-unavailable$/);
  const messages = other.lines.map(({ message }) => message);
  expect(messages).toEqual(["A call of the API failed because the store cannot be used"]);
  await away.close();
  await other.close();
});

test("a store that accepts and never answers is 503 within its deadline", async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on("error", () => {}).resume()));
  silent.listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  const away = connect(`postgres://postgres@127.0.0.1:${(silent.address() as AddressInfo).port}/gone`);
  const other = await startApiServer({
    store: { ...createReads(away), requests: {}, approvals: {}, switches: {} } as never,
  });
  expect((await other.call("GET", "/api/v1/runs")).status).toBe(503);
  await away.close();
  await other.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
});

test("a bug is a 500 that tells nothing", async () => {
  const other = await startApiServer({
    playbookOf: async () => {
      throw new TypeError("the secret of the bug");
    },
  });
  const run = await other.call("POST", "/api/v1/runs", {
    body: { playbook: "heal-ward", target: "ward", reason: "r" },
  });
  expect(run.status).toBe(500);
  expect(run.text).not.toContain("secret of the bug");
  expect(other.lines.at(-1)).toMatchObject({ level: "error", message: "A request failed by a bug" });
  await other.close();
});

test("an empty secret is refused at the start; without any token nobody gets in", async () => {
  const empty = { name: "x", role: "admin", secret: "" } as const;
  await expect(startApiServer({ tokens: [empty] })).rejects.toThrow("empty bearer token");
  const other = await startApiServer({ tokens: [] });
  expect((await other.call("GET", "/api/v1/runs")).status).toBe(401);
  await other.close();
});
