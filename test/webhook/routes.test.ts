import fc from "fast-check";

import { createMetrics } from "../../src/telemetry/metrics.ts";
import { alertmanagerWebhook, type Receive } from "../../src/webhook/routes.ts";
import {
  alertBody,
  notificationBody,
  runForEach,
  startWebhookServer,
  type WebhookServer,
} from "../support/webhook-server.ts";

let server: WebhookServer;

async function serve(options: Parameters<typeof startWebhookServer>[0] = {}): Promise<WebhookServer> {
  server = await startWebhookServer(options);
  return server;
}

afterEach(() => server.close());

test("a notification is received and answered with its runs and what was ignored", async () => {
  const receive: Receive = async () => ({
    runs: [{ id: "r1", playbook: "database-overload", target: "youtility3", created: true }],
    ignored: [{ fingerprint: "0000000000000002", reason: "no-playbook" }],
  });
  const { post, counted } = await serve({ receive });
  const answer = await post(notificationBody([alertBody(1), alertBody(2), { fingerprint: "0000000000000003" }]));
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({
    received: 3,
    runs: [{ id: "r1", playbook: "database-overload", target: "youtility3", created: true }],
    ignored: [
      { fingerprint: "0000000000000002", reason: "no-playbook" },
      { fingerprint: "0000000000000003", reason: "invalid" },
    ],
  });
  expect(counted).toEqual({ accepted: 1, ignored: ["invalid", "no-playbook"], codes: [200] });
});

test("one malformed alert among twenty leaves nineteen", async () => {
  const { post, deliveries, lines } = await serve();
  const alerts = Array.from({ length: 20 }, (_, index) => alertBody(index, index === 3 ? { startsAt: null } : {}));
  const { json } = await post(notificationBody(alerts));
  expect(json.received).toBe(20);
  expect(json.runs).toHaveLength(19);
  expect(json.ignored).toEqual([{ fingerprint: "0000000000000003", reason: "invalid" }]);
  expect(deliveries[0]?.alerts).toHaveLength(19);
  expect(lines).toMatchObject([{ fields: { count: 1, examples: [{ index: 3 }] } }]);
});

test("a notification without one good alert is answered without the store", async () => {
  const { post, deliveries } = await serve();
  expect((await post(notificationBody([null]))).json).toEqual({
    received: 1,
    runs: [],
    ignored: [{ fingerprint: null, reason: "invalid" }],
  });
  expect(deliveries).toEqual([]);
});

test("what is not stored is a 503 that tells nothing of the reason", async () => {
  const receive = () => Promise.reject(new Error("password authentication failed: hunter2hunter2"));
  const { post, lines, counted } = await serve({ receive });
  const answer = await post(notificationBody([alertBody(1)]));
  expect(answer.status).toBe(503);
  expect(answer.headers["content-type"]).toBe("application/problem+json");
  expect(answer.json.type).toMatch(/not-stored$/);
  expect(answer.text).not.toContain("hunter2");
  expect(lines).toMatchObject([{ message: "A notification was not stored" }]);
  expect(counted.codes).toEqual([503]);
});

test("a store that throws at once is a 503 as well", async () => {
  const receive = () => {
    throw new Error("no pool");
  };
  const { post } = await serve({ receive });
  expect((await post(notificationBody([alertBody(1)]))).status).toBe(503);
});

test("a store that hangs is a 503 in bounded time", async () => {
  const { post } = await serve({ receive: () => new Promise(() => {}), receiveWithinMs: 50 });
  expect((await post(notificationBody([alertBody(1)]))).status).toBe(503);
});

test("another version is a 422 that names the payload setting and repeats no input", async () => {
  const { post, deliveries } = await serve();
  const answer = await post(JSON.stringify({ version: "canary-5", alerts: [] }));
  expect(answer.status).toBe(422);
  expect(answer.json.type).toMatch(/unsupported-version$/);
  expect(answer.json.detail).toContain("`payload`");
  expect(answer.text).not.toContain("canary");
  expect(deliveries).toEqual([]);
});

test("other methods are answered 405, other paths 404", async () => {
  const { port } = await serve();
  const url = `http://127.0.0.1:${port}/webhooks/alertmanager`;
  const get = await fetch(url);
  expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
  expect((await fetch(`${url}/x`, { method: "POST" })).status).toBe(404);
});

test("a bug is a 500 problem that tells nothing", async () => {
  const metrics = {
    ...createMetrics(),
    alertsAccepted: () => {
      throw new Error("canary");
    },
  };
  const { post, lines } = await serve({ metrics });
  const answer = await post(notificationBody([alertBody(1)]));
  expect(answer.status).toBe(500);
  expect(answer.text).not.toContain("canary");
  expect(lines).toMatchObject([{ message: "A request failed by a bug" }]);
});

test("without a token there is no door", async () => {
  await serve();
  const options = { receive: async () => runForEach({ alerts: [], truncated: 0, receiver: "", groupKey: "" }) };
  const rest = { log: { info() {}, warn() {}, error() {} }, metrics: createMetrics() };
  expect(() => alertmanagerWebhook({ tokens: [], ...options, ...rest })).toThrow("at least one");
  expect(() => alertmanagerWebhook({ tokens: [" "], ...options, ...rest })).toThrow("empty");
});

test("no JSON value makes a 500, and what is received is well-formed", async () => {
  const { post, deliveries, counted } = await serve();
  const mostly = (good: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 15, arbitrary: good }, { weight: 1, arbitrary: fc.jsonValue() });
  const almostAlert: fc.Arbitrary<unknown> = fc.record({
    status: mostly(fc.constantFrom("firing", "resolved")),
    labels: mostly(fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { minKeys: 1 })),
    annotations: mostly(fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }))),
    startsAt: mostly(fc.constant("2026-11-22T10:00:00Z")),
    endsAt: mostly(fc.constant("0001-01-01T00:00:00Z")),
    fingerprint: mostly(fc.constantFrom("00000000000000ff", "00000000000000fe")),
    generatorURL: mostly(fc.webUrl()),
  });
  const almostNotification = fc.record({
    version: mostly(fc.constant("4")),
    alerts: mostly(fc.array(fc.oneof(almostAlert, fc.jsonValue()))),
    receiver: mostly(fc.string()),
    truncatedAlerts: mostly(fc.nat()),
  });
  const bodies = fc.oneof(fc.jsonValue(), almostNotification, fc.string()).map((value) => JSON.stringify(value));
  const untouched = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));

  await fc.assert(
    fc.asyncProperty(fc.oneof(bodies, fc.string({ unit: "binary" })), async (body) => {
      const before = deliveries.length;
      const { status, json } = await post(body);
      expect([200, 400, 422]).toContain(status);
      if (status !== 200) expect(deliveries).toHaveLength(before);
      if (status === 200) expect(json.runs.length + json.ignored.length).toBeLessThanOrEqual(json.received);
      expect(JSON.stringify(Object.getOwnPropertyNames(Object.prototype))).toBe(untouched);
    }),
    { numRuns: 200 },
  );
  expect(new Set(counted.codes)).toEqual(new Set([200, 400, 422]));
  expect(counted.accepted).toBeGreaterThan(0);
  expect(counted.ignored.length).toBeGreaterThan(0);
}, 60_000);
