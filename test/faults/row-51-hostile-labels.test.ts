import fc from "fast-check";

import { alertBody, notificationBody, startWebhookServer, type WebhookServer } from "../support/webhook-server.ts";

let server: WebhookServer;

beforeAll(async () => {
  server = await startWebhookServer();
});

afterAll(() => server.close());

/** Written by hand, so that `__proto__` arrives as an attacker would send it. */
function bodyWithLabels(pairs: readonly (readonly [string, string])[]): string {
  const text = pairs.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",");
  return notificationBody([alertBody(1, { labels: "LABELS" }), alertBody(2)]).replace('"LABELS"', () => `{${text}}`);
}

const prototypeBefore = JSON.stringify(Reflect.ownKeys(Object.prototype).map(String));

test("no label map pollutes a prototype, breaks the answer or costs the alert beside it", async () => {
  const name = fc.oneof(
    fc.constantFrom("__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "alertname", "reason"),
    fc.string({ unit: "binary", maxLength: 300 }),
  );
  const value = fc.oneof(
    fc.constantFrom("nul\u0000", "\u202egnp.exe", "\ud800", "$(id)", "'; drop table runs; --", "x".repeat(5_000)),
    fc.string({ unit: "binary" }),
  );
  let kept = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 8 }), async (pairs) => {
      const { status, json } = await server.post(bodyWithLabels(pairs));
      expect(status).toBe(200);
      expect(JSON.stringify(Reflect.ownKeys(Object.prototype).map(String))).toBe(prototypeBefore);
      expect(({} as Record<string, unknown>)["alertname"]).toBeUndefined();
      const alerts = server.deliveries.at(-1)?.alerts ?? [];
      expect(alerts.at(-1)?.fingerprint).toBe("0000000000000002");
      if (json.ignored.length === 1) {
        refused += 1;
        expect(json.ignored).toEqual([{ fingerprint: "0000000000000001", reason: "invalid" }]);
        expect(alerts).toHaveLength(1);
        return;
      }
      kept += 1;
      const labels = alerts[0]?.labels ?? {};
      expect(Object.getPrototypeOf(labels)).toBeNull();
      expect(new Map(Object.entries(labels))).toEqual(new Map(pairs));
      for (const text of Object.entries(labels).flat())
        expect(text.isWellFormed() && !text.includes("\u0000")).toBe(true);
    }),
    { numRuns: 200 },
  );
  expect(kept).toBeGreaterThan(10);
  expect(refused).toBeGreaterThan(10);
}, 60_000);

test.each([
  ["__proto__", "polluted"],
  ["constructor", "polluted"],
  ["direction", "\u202eright to left"],
])("%s is an ordinary label and is kept as it is", async (name, value) => {
  expect((await server.post(bodyWithLabels([[name, value]]))).json.ignored).toEqual([]);
  const labels = server.deliveries.at(-1)?.alerts[0]?.labels ?? {};
  expect(Object.entries(labels)).toEqual([[name, value]]);
});

test.each([
  ["NUL", "a\u0000b"],
  ["a line break", "a\nb"],
  ["half a surrogate pair", "\udc00"],
  ["a megabyte", "x".repeat(1_048_576)],
])("a label value with %s is refused, and only its alert", async (_case, value) => {
  const { json } = await server.post(bodyWithLabels([["a", value]]));
  expect(json.ignored).toEqual([{ fingerprint: "0000000000000001", reason: "invalid" }]);
  expect(json.runs).toHaveLength(1);
});
