import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { askHealth } from "../../../src/actions/systemd/health.ts";
import type { Target } from "../../../src/domain/target.ts";
import { freePort } from "../../support/free-port.ts";
import { bareTarget, canary } from "../context.ts";

let server: Server;
let port: number;

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === "/well") return response.writeHead(204).end();
    if (request.url === "/sick") return response.writeHead(503).end();
    if (request.url === "/endless") return response.writeHead(200).write("a body that never ends");
    return undefined;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  port = (server.address() as AddressInfo).port;
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const at = (healthPath: string, on = port): Target => ({
  ...bareTarget,
  http: { baseUrl: `http://paramedic:${canary}@127.0.0.1:${on}`, healthPath },
});
const ask = (target: Target, signal = new AbortController().signal) => askHealth(target, signal);

test("a target without a health path has no health", async () => {
  expect(await ask(bareTarget)).toBeNull();
  expect(await ask({ ...bareTarget, http: { baseUrl: "http://127.0.0.1" } })).toBeNull();
});

test("any 2xx is well, anything else is not", async () => {
  expect(await ask(at("/well"))).toEqual({ well: true, words: "/well answered 204" });
  expect(await ask(at("/sick"))).toEqual({ well: false, words: "/sick answered 503" });
});

test("the code alone counts: a body that never ends is not waited for", async () => {
  expect(await ask(at("/endless"))).toEqual({ well: true, words: "/endless answered 200" });
});

test("a server that says nothing, and one that is not there, are not well and are named without their login", async () => {
  const nobody = await freePort();
  const [silent, gone] = [await ask(at("/silent")), await ask(at("/well", nobody))];
  expect(silent).toEqual({ well: false, words: `http://127.0.0.1:${port}/silent did not answer within 2 s` });
  expect(gone).toMatchObject({ well: false, words: expect.stringContaining(`127.0.0.1:${nobody}/well refused`) });
  expect(JSON.stringify([silent, gone])).not.toContain(canary);
});

test("the signal ends it", async () => {
  const abort = new AbortController();
  const asked = ask(at("/silent"), abort.signal);
  abort.abort();
  expect(await asked).toMatchObject({ well: false, words: expect.stringContaining("Stopped while waiting") });
});
