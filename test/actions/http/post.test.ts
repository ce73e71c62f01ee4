import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { httpPost, type PostPlan } from "../../../src/actions/http/post.ts";
import type { Target } from "../../../src/domain/target.ts";
import { bareTarget, canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

/** A server as it should be: what it hears twice with one key it does once, and it tells what it has done. */
let server: Server;
let port: number;
/** Whether it takes requests and does not answer them. */
let silent = false;
const done = new Map<string, { readonly path: string; readonly body: unknown }>();
let heard: { readonly path: string; readonly headers: Readonly<Record<string, unknown>> }[] = [];

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "", "http://server");
    const json = { "content-type": "application/json" };
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (request.method === "GET") {
      if (url.pathname === "/api/status") {
        response.writeHead(200, json).end(JSON.stringify({ applied: done.has(url.searchParams.get("key") ?? "") }));
      } else if (url.pathname === "/api/odd") response.writeHead(200, json).end('{"applied":"yes"}');
      else response.writeHead(404).end();
      return undefined;
    }
    heard.push({ path: url.pathname, headers: request.headers });
    if (silent) return undefined;
    const code = Number(/\/code-(\d+)$/.exec(url.pathname)?.[1] ?? 200);
    if (url.pathname === "/api/cut") return response.destroy();
    if (code === 200) {
      done.set(String(request.headers["idempotency-key"]), {
        path: url.pathname,
        body: JSON.parse(Buffer.concat(pieces).toString()),
      });
    }
    return response.writeHead(code, { ...json, location: "/api/elsewhere" }).end('{"flushed":3}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

beforeEach(() => {
  heard = [];
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const codes = [302, 400, 409, 500, 503].map((code) => ({ path: `/code-${code}` }));
const post = [{ path: "/flush", statusPath: "/status" }, { path: "/plain" }, { path: "/cut" }, ...codes];
const targetAt = (at: number): Target => ({
  ...bareTarget,
  http: { baseUrl: `http://paramedic:${canary}@127.0.0.1:${at}/api`, post },
});
const contextOf = (occasion: string, at = port) => ({ ...contextFor(targetAt(at)), occasion });

async function planned(input: { path: string; body?: unknown }, occasion = "run/step"): Promise<PostPlan> {
  const result = await httpPost.plan({ body: {}, ...input } as never, contextOf(occasion));
  if (result.status !== "planned") throw new Error(result.reason);
  return result.plan;
}

describeContract("http.post", {
  input: { path: "/flush", body: { cache: "tree" } },
  hostile: [
    null,
    {},
    { path: 1 },
    { path: "flush" },
    { path: "//evil.example/" },
    { path: "/../flush" },
    { path: "/%2e%2e/flush" },
    { path: "http://169.254.169.254/" },
    { path: "/flush\r\nX: y" },
    { path: "/flush", body: "a".repeat(70_000) },
    { path: "/flush", headers: {} },
    { path: "/flush", method: "DELETE" },
  ],
  healthy: () => ({ action: httpPost, target: targetAt(port) }),
  at: (at) => ({ action: httpPost, target: targetAt(at) }),
  arrange: async () => done.clear(),
  state: async () => [...done],
  unheard: "unknown",
  midway: {
    hold: async () => {
      const before = heard.length;
      silent = true;
      return {
        inside: async () => heard.length > before,
        release: async () => {
          silent = false;
        },
      };
    },
    told: { status: "unknown", reason: expect.stringContaining("was sent to") },
    probed: "not-applied",
  },
});

test("sends exactly the planned document, with the key of this step of this run", async () => {
  const plan = await planned({ path: "/flush", body: { b: 1, a: [null, "x"] } });
  expect(plan).toEqual({ path: "/flush", body: { b: 1, a: [null, "x"] } });
  expect(await httpPost.apply(plan, contextOf("one/step"))).toEqual({
    status: "done",
    result: { status: 200, body: { flushed: 3 } },
  });
  // A stored plan comes back with its keys in another order.
  await httpPost.apply({ body: { a: [null, "x"], b: 1 }, path: "/flush" }, contextOf("one/step"));
  await httpPost.apply(plan, contextOf("two/step"));
  const keys = heard.map(({ headers }) => headers["idempotency-key"]);
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(keys[1]).toBe(keys[0]);
  expect(keys[2]).not.toBe(keys[0]);
  expect(heard[0]?.headers).toMatchObject({ "content-type": "application/json", host: `127.0.0.1:${port}` });
  expect([...done.values()].at(-1)).toEqual({ path: "/api/flush", body: plan.body });
});

test("shows what is sent, without what looks like a secret", async () => {
  const body = { mode: "all", apiKey: canary, text: "y".repeat(500) };
  const result = await httpPost.plan({ path: "/plain", body }, contextOf("a"));
  expect(result).toMatchObject({
    effects: [expect.stringMatching(`^POST http://127.0.0.1:${port}/api/plain: \\{"mode":"all","apiKey":"\\[redacted`)],
  });
  expect(JSON.stringify((result as { effects: unknown }).effects)).not.toContain(canary);
});

test.each(["/elsewhere", "/flush/", "/Flush", "/flush?x=1", "/status"])(
  "%s is not listed and refused",
  async (path) => {
    const context = contextOf("a");
    const reason = expect.stringContaining("does not list this path in http.post. It lists /flush, /plain");
    expect(await httpPost.plan({ path, body: {} }, context)).toMatchObject({ status: "failed", reason });
    expect(await httpPost.apply({ path, body: {} }, context)).toMatchObject({ status: "failed", reason });
    expect(await httpPost.probe?.({ path, body: {} }, context)).toBe("unknown");
    expect(heard).toEqual([]);
  },
);

test.each([
  ["/code-400", { status: "failed", retryable: false }],
  ["/code-409", { status: "failed", retryable: false }],
  ["/code-302", { status: "unknown" }],
  ["/code-500", { status: "unknown" }],
  ["/code-503", { status: "unknown" }],
  ["/cut", { status: "unknown" }],
])("what comes of %s is told truthfully", async (path, outcome) => {
  expect(await httpPost.apply(await planned({ path }), contextOf("a"))).toMatchObject(outcome);
  expect(heard).toHaveLength(1);
});

test("the probe asks the status path, and without one it does not guess", async () => {
  const plan = await planned({ path: "/flush" });
  expect(await httpPost.probe?.(plan, contextOf("p/1"))).toBe("not-applied");
  await httpPost.apply(plan, contextOf("p/1"));
  expect(await httpPost.probe?.(plan, contextOf("p/1"))).toBe("applied");
  expect(await httpPost.plan({ path: "/flush", body: {} }, contextOf("p/1"))).toMatchObject({ effects: [] });
  expect(await httpPost.probe?.(plan, contextOf("p/2"))).toBe("not-applied");
  expect(await httpPost.probe?.(plan, contextOf("p/1", 1))).toBe("unknown");
  expect(await httpPost.probe?.(await planned({ path: "/plain" }), contextOf("p/1"))).toBe("unknown");
  const odd = contextFor({
    ...bareTarget,
    http: { baseUrl: `http://127.0.0.1:${port}/api`, post: [{ path: "/flush", statusPath: "/odd" }] },
  });
  expect(await httpPost.probe?.(plan, odd)).toBe("unknown");
});
