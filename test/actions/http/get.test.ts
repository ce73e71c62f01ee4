import type dns from "node:dns";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { httpGet, httpGetBy } from "../../../src/actions/http/get.ts";
import { deadlineOf } from "../../../src/domain/deadline.ts";
import type { HttpTarget, Target } from "../../../src/domain/target.ts";
import { bareTarget, canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

let server: Server;
let port: number;
let served: string[] = [];
let logins: (string | undefined)[] = [];
let metadataServed = 0;

const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
const json = { "content-type": "application/json" };
const routes: Record<string, RequestListener> = {
  "/api/health/": (request, response) => response.writeHead(200, json).end(JSON.stringify(request.headers)),
  "/api/moved": (_request, response) => response.writeHead(302, { location: "/metadata" }).end(),
  "/metadata": (_request, response) => {
    metadataServed++;
    response.writeHead(200, json).end("{}");
  },
  "/api/slow": () => {},
  "/api/missing": (_request, response) => response.writeHead(404, json).end(`{"secret":"${canary}"}`),
  "/api/busy": (_request, response) => response.writeHead(503).end("<html>"),
  "/api/limited": (_request, response) => response.writeHead(429).end(),
  "/api/html": (_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("{}"),
  "/api/broken": (_request, response) => response.writeHead(200, json).end('{"a":'),
  "/api/zipped": (_request, response) =>
    response.writeHead(200, { ...json, "content-encoding": "gzip" }).end(gzipSync("{}")),
  "/api/problem": (_request, response) =>
    response.writeHead(200, { "content-type": "application/problem+json; charset=utf-8" }).end("[1, null]"),
  "/api/nested": (_request, response) => response.writeHead(200, json).end(nested(100)),
  "/api/deeper": (_request, response) => response.writeHead(200, json).end(nested(101)),
  "/api/deep": (_request, response) => response.writeHead(200, json).end(nested(5_000)),
  "/api/deep-objects": (_request, response) =>
    response.writeHead(200, json).end(`{"a":1,"b":${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}}`),
  "/api/deepest": (_request, response) => response.writeHead(200, json).end(nested(500_000)),
  "/api/busy-and-deep": (_request, response) => response.writeHead(503, json).end(nested(5_000)),
  "/api/endless": (_request, response) => {
    response.writeHead(200, json);
    const timer = setInterval(() => response.write("1".repeat(100_000)), 1);
    response.on("close", () => clearInterval(timer));
  },
  "/api/cut": (_request, response) => {
    response.writeHead(200, { ...json, "content-length": "100" });
    response.write("{", () => response.destroy());
  },
};

beforeAll(async () => {
  server = createServer((request, response) => {
    served.push(request.url ?? "");
    logins.push(request.headers.authorization);
    const route = routes[request.url?.split("?")[0] ?? ""];
    if (route) route(request, response);
    else response.writeHead(500).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

beforeEach(() => {
  served = [];
  logins = [];
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

function targetAt(baseUrl: string): Target {
  return { ...bareTarget, http: { baseUrl } };
}

function get(path: string, base = `http://paramedic:${canary}@127.0.0.1:${port}/api`) {
  return httpGet.observe({ path }, contextFor(targetAt(base)));
}

describeContract("http.get", {
  input: { path: "/health/?verbose=1" },
  hostile: [
    null,
    {},
    { path: 1 },
    { path: "health" },
    { path: "//evil.example/" },
    { path: "/../metadata" },
    { path: "/%2e%2e/metadata" },
    { path: "/a\\b" },
    { path: "/a\r\nX: y" },
    { path: `/${"a".repeat(3_000)}` },
    { path: "/health/", baseUrl: "http://evil.example" },
    { path: "/health/", headers: {} },
    { path: "/health/", alsoStatus: [302] },
    { path: "/health/", alsoStatus: ["503"] },
  ],
  healthy: () => ({ action: httpGet, target: targetAt(`http://paramedic:${canary}@127.0.0.1:${port}/api`) }),
  at: (at) => ({ action: httpGet, target: targetAt(`http://paramedic:${canary}@127.0.0.1:${at}/api`) }),
  state: async () => metadataServed,
});

test("reads JSON below the base URL, with the login of the base URL and nothing else", async () => {
  const observed = await get("/health/");
  expect(observed).toEqual({
    status: "observed",
    output: {
      status: 200,
      body: {
        accept: "application/json",
        // The server tells what it was sent; that is no business of those who read the run.
        authorization: "[redacted]",
        connection: "close",
        host: `127.0.0.1:${port}`,
        "user-agent": "paramedic",
      },
    },
  });
  expect(served).toEqual(["/api/health/"]);
  expect(logins).toEqual([`Basic ${Buffer.from(`paramedic:${canary}`).toString("base64")}`]);
});

test("takes as long as the step allows, and says so", async () => {
  const { signal, release } = deadlineOf([], 200);
  const observed = await httpGet.observe(
    { path: "/slow" },
    contextFor(targetAt(`http://127.0.0.1:${port}/api`), signal),
  );
  release();
  expect(observed).toMatchObject({
    status: "failed",
    retryable: true,
    reason: expect.stringContaining("did not answer within the time of the step"),
  });
});

test("has no limit of its own beside the time of the step", async () => {
  const timers = jest.spyOn(global, "setTimeout");
  expect(await get("/health/")).toMatchObject({ status: "observed" });
  expect(timers.mock.calls.filter(([, delay]) => delay === 10_000)).toEqual([]);
  timers.mockRestore();
});

test("any JSON is an answer", async () => {
  expect(await get("/problem")).toEqual({ status: "observed", output: { status: 200, body: [1, null] } });
});

test("an answer of 100 levels is read", async () => {
  expect(await get("/nested")).toEqual({
    status: "observed",
    output: { status: 200, body: JSON.parse(nested(100)) },
  });
});

test("a redirect is not followed", async () => {
  const before = metadataServed;
  expect(await get("/moved")).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining("answered 302, a redirect"),
  });
  expect(metadataServed).toBe(before);
  expect(served).toEqual(["/api/moved"]);
});

test("an answer of another code is read where it is wanted, and is JSON", async () => {
  const also = contextFor(targetAt(`http://127.0.0.1:${port}/api`));
  const get = (path: string) => httpGet.observe({ path, alsoStatus: [404, 503] }, also);
  expect(await get("/missing")).toEqual({
    status: "observed",
    output: { status: 404, body: { secret: "[redacted]" } },
  });
  expect(await get("/busy")).toMatchObject({ status: "failed", reason: expect.stringContaining("answered 503") });
  expect(await get("/limited")).toMatchObject({ status: "failed", reason: expect.stringContaining("answered 429") });
});

test.each<[string, string, boolean]>([
  ["/missing", "answered 404", false],
  ["/busy", "answered 503", true],
  ["/limited", "answered 429", true],
  ["/html", "not with plain JSON", false],
  ["/broken", "malformed JSON", false],
  ["/zipped", "not with plain JSON", false],
  ["/deeper", "more than 100 levels", false],
  ["/deep", "more than 100 levels", false],
  ["/deep-objects", "more than 100 levels", false],
  ["/deepest", "more than 100 levels", false],
  ["/busy-and-deep", "answered 503", true],
  ["/endless", "more than 1 MiB", false],
  ["/cut", "cannot be reached (ECONNRESET)", true],
])("%s is a failure that says: %s", async (path, words, retryable) => {
  const observed = await get(`${path}?token=secret`);
  expect(observed).toMatchObject({ status: "failed", retryable, reason: expect.stringContaining(words) });
  expect(JSON.stringify(observed)).not.toMatch(new RegExp(`${canary}|secret`));
});

test.each<[string, Target | null, string]>([
  ["no target", null, "needs a target"],
  ["no http part", bareTarget, "Add its baseUrl"],
  ["no URL", targetAt("app:8000"), "no plain http(s) URL"],
  ["another scheme", targetAt("file:///etc"), "no plain http(s) URL"],
])("%s is refused with what to configure", async (_name, target, words) => {
  const observed = await httpGet.observe({ path: "/" }, contextFor(target));
  expect(observed).toMatchObject({ status: "failed", retryable: false, reason: expect.stringContaining(words) });
});

describe("where a name leads", () => {
  const answering = (...answers: string[][]) => {
    let asked = 0;
    const resolve = ((_name, _options, callback) => {
      const addresses = answers[Math.min(asked++, answers.length - 1)] as string[];
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      );
    }) as (
      name: string,
      options: dns.LookupAllOptions,
      callback: (error: null, addresses: dns.LookupAddress[]) => void,
    ) => void;
    return httpGetBy(resolve);
  };
  const observe = (action: typeof httpGet) =>
    action.observe({ path: "/health/" }, contextFor(targetAt(`http://app.internal:${port}/api`)));

  test.each(["http://app.internal", "http://app-server", "http://localhost"])(
    "a private address is allowed where %s says by itself that it is private",
    async (base) => {
      const target = targetAt(`${base}:${port}/api`);
      expect(await answering(["127.0.0.1"]).observe({ path: "/health/" }, contextFor(target))).toMatchObject({
        status: "observed",
      });
    },
  );

  test.each<[NonNullable<HttpTarget["network"]> | undefined, string, boolean]>([
    [undefined, "127.0.0.1", false],
    [undefined, "10.0.0.1", false],
    ["public", "127.0.0.1", false],
    ["private", "127.0.0.1", true],
    ["link-local", "127.0.0.1", true],
    ["link-local", "169.254.169.254", false],
  ])("with network %s a public name may lead to %s: %s", async (network, address, allowed) => {
    const http = { baseUrl: `http://app.example.com:${port}/api`, ...(network && { network }) };
    const observed = await answering([address]).observe({ path: "/health/" }, contextFor({ ...bareTarget, http }));
    if (allowed) return expect(observed).toMatchObject({ status: "observed" });
    expect(observed).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("not allowed"),
    });
    expect(served).toEqual([]);
  });

  test.each(["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0", "2852039166"])(
    "%s written in the configuration is refused as well",
    async (host) => {
      const observed = await httpGet.observe({ path: "/" }, contextFor(targetAt(`http://${host}:${port}`)));
      expect(observed).toMatchObject({ status: "failed", reason: expect.stringContaining("not allowed") });
    },
  );

  test("a private address is allowed", async () => {
    expect(await observe(answering(["127.0.0.1"]))).toMatchObject({ status: "observed" });
  });

  test.each([
    ["169.254.169.254"],
    ["fe80::1"],
    ["fd00:ec2::254"],
    ["::ffff:169.254.169.254"],
    ["0.0.0.0"],
    ["::"],
    ["224.0.0.1"],
    ["127.0.0.1", "169.254.169.254"],
  ])("%s is refused before a connection is made", async (...addresses) => {
    expect(await observe(answering(addresses))).toMatchObject({
      status: "failed",
      retryable: false,
      reason: expect.stringContaining("not allowed"),
    });
    expect(served).toEqual([]);
  });

  test("a name server that changes its answer is asked once for each connection, and that answer is checked", async () => {
    const flipping = answering(["127.0.0.1"], ["169.254.169.254"]);
    expect(await observe(flipping)).toMatchObject({ status: "observed" });
    expect(await observe(flipping)).toMatchObject({ status: "failed", reason: expect.stringContaining("not allowed") });
  });
});
