import type { Alert } from "../../src/domain/alert.ts";
import { mostAlerts, parseNotification } from "../../src/webhook/notification.ts";
import { alertBody, notificationBody } from "../support/webhook-server.ts";

function parse(text: string) {
  return parseNotification(JSON.parse(text));
}

function parsedAlert(changes: Readonly<Record<string, unknown>>): Alert | string {
  const result = parse(notificationBody([alertBody(1, changes)]));
  if (!result.ok) throw new Error("the notification was refused");
  return result.alerts[0] ?? (result.invalid[0]?.reason as string);
}

test("an alert keeps what is used, with times in UTC to the microsecond", () => {
  expect(parsedAlert({})).toEqual({
    status: "firing",
    labels: { alertname: "DatabaseOverload", severity: "warning", service: "youtility3", instance: "db-1" },
    annotations: { summary: "The database is overloaded" },
    startsAt: "2026-11-22T10:00:00.123456Z",
    endsAt: null,
    fingerprint: "0000000000000001",
    generatorURL: "http://prometheus:9090/graph?g0.expr=up",
  });
});

test("the receiver, the group key and the number of alerts left out are kept", () => {
  expect(parse(notificationBody([], { truncatedAlerts: 7, receiver: "team" }))).toMatchObject({
    ok: true,
    truncated: 7,
    receiver: "team",
    groupKey: '{}:{alertname="DatabaseOverload"}',
  });
});

test("a resolved alert has its end; a firing one has none, whatever the sender writes", () => {
  const endsAt = "2026-11-22T12:00:00+02:00";
  expect(parsedAlert({ status: "resolved", endsAt })).toMatchObject({ endsAt: "2026-11-22T10:00:00.000000Z" });
  expect(parsedAlert({ status: "firing", endsAt })).toMatchObject({ endsAt: null });
});

test("alerts that say the same thing twice are one; firing and resolved are two", () => {
  const twice = [alertBody(1), alertBody(1), alertBody(1, { status: "resolved" }), alertBody(2)];
  const result = parse(notificationBody(twice));
  expect(result.ok && result.alerts.map(({ fingerprint, status }) => [Number(fingerprint), status])).toEqual([
    [1, "firing"],
    [1, "resolved"],
    [2, "firing"],
  ]);
  expect(result).toMatchObject({ received: 4, invalid: [] });
});

test.each([
  ["no object", [], "unsupported-version"],
  ["null", null, "unsupported-version"],
  ["no version", { alerts: [] }, "unsupported-version"],
  ["version 3", { version: "3", alerts: [] }, "unsupported-version"],
  ["version 4 as a number", { version: 4, alerts: [] }, "unsupported-version"],
  ["no alerts", { version: "4" }, "unexpected-shape"],
  ["alerts that are no list", { version: "4", alerts: {} }, "unexpected-shape"],
  ["a negative number of cut alerts", { version: "4", alerts: [], truncatedAlerts: -1 }, "unexpected-shape"],
  ["a receiver that is no text", { version: "4", alerts: [], receiver: 1 }, "unexpected-shape"],
  ["more alerts than real ones fit", { version: "4", alerts: Array(mostAlerts + 1).fill(0) }, "unexpected-shape"],
])("a body with %s is a 422 that names Alertmanager's payload setting", (_case, body, name) => {
  const result = parseNotification(body);
  expect(result).toMatchObject({ ok: false, problem: { status: 422, name } });
  expect(!result.ok && result.problem.detail).toContain("`payload`");
});

test("every field at fault is named", () => {
  const result = parseNotification({ version: "4", alerts: 1, truncatedAlerts: "x", receiver: 1, groupKey: 1 });
  expect(!result.ok && result.problem.errors?.map(({ field }) => field)).toEqual([
    "alerts",
    "truncatedAlerts",
    "receiver",
    "groupKey",
  ]);
});

test.each([
  [{ status: "pending" }, "status"],
  [{ fingerprint: "0123456789ABCDEF" }, "fingerprint"],
  [{ fingerprint: "123" }, "fingerprint"],
  [{ fingerprint: undefined }, "fingerprint"],
  [{ startsAt: "2026-02-30T00:00:00Z" }, "startsAt"],
  [{ startsAt: "2026-11-22 10:00:00Z" }, "startsAt"],
  [{ startsAt: "2026-11-22T10:00:00" }, "startsAt"],
  [{ startsAt: "2026-11-22T24:00:00Z" }, "startsAt"],
  [{ startsAt: 1_763_800_000 }, "startsAt"],
  [{ startsAt: "0001-01-01T00:00:00Z" }, "startsAt"],
  [{ endsAt: "soon" }, "endsAt"],
  [{ labels: {} }, "labels"],
  [{ labels: [] }, "labels"],
  [{ labels: null }, "labels"],
  [{ labels: { a: 1 } }, "label is not text"],
  [{ labels: { "": "x" } }, "empty name"],
  [{ labels: { a: "nul\u0000" } }, "control"],
  [{ labels: { a: "line\nbreak" } }, "control"],
  [{ labels: { "n\u0000": "x" } }, "control"],
  [{ labels: { a: "\ud800" } }, "surrogate"],
  [{ labels: { a: "x".repeat(4_097) } }, "longer than 4096"],
  [{ labels: { ["n".repeat(257)]: "x" } }, "name longer than 256"],
  [{ labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`l${i}`, "x"])) }, "more than 64"],
  [{ annotations: { a: null } }, "annotation is not text"],
  [{ annotations: { a: "\u001b[31m" } }, "control"],
  [{ annotations: "x" }, "annotations"],
])("an alert with %j is invalid, with a reason", (changes, reason) => {
  expect(parsedAlert(changes)).toEqual(expect.stringContaining(reason));
});

test("an invalid alert costs none of the others and keeps its place and fingerprint", () => {
  const alerts = Array.from({ length: 20 }, (_, index) => alertBody(index, index === 7 ? { labels: { a: 1 } } : {}));
  const result = parse(notificationBody([...alerts, "no alert"]));
  expect(result.ok && result.alerts).toHaveLength(19);
  expect(result.ok && result.invalid).toMatchObject([
    { index: 7, fingerprint: "0000000000000007" },
    { index: 20, fingerprint: null },
  ]);
});

test("annotations may have lines and tabs, and a long one is cut without breaking a character", () => {
  expect(parsedAlert({ annotations: { a: "one\r\n\ttwo" } })).toMatchObject({ annotations: { a: "one\n\ttwo" } });
  const long = parsedAlert({ annotations: { a: "🚑".repeat(20_000) } }) as Alert;
  const text = long.annotations["a"] as string;
  expect(text.length).toBeLessThanOrEqual(16_384);
  expect(text.length).toBeGreaterThan(16_000);
  expect(text.isWellFormed()).toBe(true);
  expect(text.endsWith("… (cut)")).toBe(true);
});

test.each(["javascript:alert(1)", "http://x/\u0000", 5, `http://x/${"a".repeat(20_000)}`])(
  "a link that nobody should click is left out and the alert stays: %.20s",
  (generatorURL) => {
    expect(parsedAlert({ generatorURL })).toMatchObject({ generatorURL: "" });
  },
);

test("times of equal instants are equal texts, and digits beyond the microsecond are cut", () => {
  const startsAt = (text: string) => (parsedAlert({ startsAt: text }) as Alert).startsAt;
  expect(startsAt("2026-11-22T12:30:00+02:30")).toBe("2026-11-22T10:00:00.000000Z");
  expect(startsAt("2026-11-22T23:59:59.9999999-00:30")).toBe("2026-11-23T00:29:59.999999Z");
  expect(startsAt("2026-11-22T10:00:00.1Z")).toBe("2026-11-22T10:00:00.100000Z");
  expect(startsAt("2024-02-29T00:00:00Z")).toBe("2024-02-29T00:00:00.000000Z");
});

test("labels have no prototype and keep __proto__ and constructor as ordinary names", () => {
  const body = notificationBody([alertBody(1, { labels: "L" })]).replace(
    '"L"',
    '{"__proto__":"a","constructor":"b","reason":"c"}',
  );
  const result = parse(body);
  const labels = (result.ok ? result.alerts[0]?.labels : undefined) ?? {};
  expect(Object.getPrototypeOf(labels)).toBeNull();
  expect(Object.entries(labels)).toEqual([
    ["__proto__", "a"],
    ["constructor", "b"],
    ["reason", "c"],
  ]);
});
