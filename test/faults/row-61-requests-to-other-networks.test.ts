/** Row 61: requests to credentials of clouds, names that change their answer, redirects inwards: refused before a connection. */

import dns from "node:dns";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Resolve } from "../../src/actions/exchange.ts";
import { httpGetBy } from "../../src/actions/http/get.ts";
import { httpPostBy } from "../../src/actions/http/post.ts";
import { askHealth } from "../../src/actions/systemd/health.ts";
import type { HttpTarget, Target } from "../../src/domain/target.ts";
import { bareTarget, contextFor } from "../actions/context.ts";

let server: Server;
let port: number;
let heard: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    heard.push(`${request.method} ${request.url}`);
    if (request.url === "/moved") response.writeHead(302, { location: `http://127.0.0.1:${port}/inside` }).end();
    else response.writeHead(200, { "content-type": "application/json" }).end("{}");
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

/** A name server that gives these answers one after the other, and how often it was asked. */
function nameServer(...answers: readonly string[]): { readonly resolve: Resolve; asked: number } {
  const found = { resolve: answer as Resolve, asked: 0 };
  function answer(_name: string, _options: dns.LookupAllOptions, callback: Parameters<Resolve>[2]): void {
    const address = answers[Math.min(found.asked++, answers.length - 1)] as string;
    callback(null, [{ address, family: address.includes(":") ? 6 : 4 }]);
  }
  return found;
}

function targetAt(host: string, network?: HttpTarget["network"]): Target {
  const post = [{ path: "/inside" }, { path: "/moved" }];
  return { ...bareTarget, http: { baseUrl: `http://${host}:${port}`, post, ...(network && { network }) } };
}

/** What `http.get`, `http.post` and the health path after a restart come to at this target. */
async function every(target: Target, resolve: Resolve | undefined, path = "/inside") {
  const get = await httpGetBy(resolve).observe({ path }, contextFor(target));
  const post = await httpPostBy(resolve).apply({ path, body: {} }, contextFor(target));
  const http = target.http && { ...target.http, healthPath: path };
  const health = await askHealth({ ...target, ...(http && { http }) }, new AbortController().signal, resolve);
  return [get, post, health];
}

const refused = { status: "failed", retryable: false, reason: expect.stringContaining("not allowed") };
const refusedByAll = [refused, refused, { well: false, words: expect.stringContaining("not allowed") }];

test.each(["169.254.169.254", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]", "0xa9fea9fe", "100.100.100.200"])(
  "the address %s is refused, whatever network is configured",
  async (host) => {
    for (const network of [undefined, "public", "private", "link-local"] as const) {
      expect(await every(targetAt(host, network), undefined)).toMatchObject(refusedByAll);
    }
    expect(heard).toEqual([]);
  },
);

test.each([
  "169.254.169.254",
  "169.254.7.7",
  "fe80::1",
  "127.0.0.1",
  "10.0.0.7",
  "192.168.0.1",
  "::1",
  "64:ff9b::7f00:1",
])("a public name that stands for %s is refused before a connection", async (address) => {
  expect(await every(targetAt("app.example.com"), nameServer(address).resolve)).toMatchObject(refusedByAll);
  expect(heard).toEqual([]);
});

test("a name is asked for once in each request, and what was checked is what is connected to", async () => {
  // The second answer, which a check and a connection of their own would get, must never be asked for.
  const flipping = nameServer("127.0.0.1", "169.254.169.254");
  const target = targetAt("app.internal");
  expect(await httpGetBy(flipping.resolve).observe({ path: "/inside" }, contextFor(target))).toMatchObject({
    status: "observed",
  });
  expect(flipping.asked).toBe(1);
  expect(await httpGetBy(flipping.resolve).observe({ path: "/inside" }, contextFor(target))).toMatchObject(refused);
  const inwards = nameServer("169.254.169.254", "127.0.0.1");
  expect(await httpGetBy(inwards.resolve).observe({ path: "/inside" }, contextFor(target))).toMatchObject(refused);
  expect(inwards.asked).toBe(1);
  expect(heard).toEqual(["GET /inside"]);
});

test("a redirect inwards is not followed", async () => {
  const [get, post, health] = await every(targetAt("127.0.0.1"), undefined, "/moved");
  expect(get).toMatchObject({
    status: "failed",
    reason: expect.stringContaining("a redirect; these are not followed"),
  });
  expect(post).toMatchObject({
    status: "unknown",
    reason: expect.stringContaining("a redirect; these are not followed"),
  });
  expect(health).toEqual({ well: false, words: "/moved answered 302" });
  expect(heard).toEqual(["GET /moved", "POST /moved", "GET /moved"]);
});

test("the system's own resolver is held to the same", async () => {
  expect((await dns.promises.lookup("localhost")).address).toMatch(/^(127\.|::1)/);
  expect(await every(targetAt("localhost", "public"), undefined)).toMatchObject(refusedByAll);
  expect(heard).toEqual([]);
});
