/** Row 55: what is not signed by Slack, or not now, is answered 401 and changes nothing. */

import { approveId } from "../../src/oncall/slack/action-ids.ts";
import { createReceiver } from "../../src/oncall/slack/receiver.ts";
import type { Forgery } from "../support/slack-double-requests.ts";
import { type Asked, type SlackHouse, startSlackHouse } from "../support/slack-house.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

let house: SlackHouse;
let asked: Asked;

beforeAll(async () => {
  house = await startSlackHouse();
  asked = await house.ask();
});
afterAll(() => house.stop());

async function expectUntouched(): Promise<void> {
  expect(await house.approval(asked.approval)).toMatchObject({ state: "pending", decisions: [] });
  expect(await house.store.sql("SELECT FROM paramedic.clicks")).toEqual([]);
  expect((await house.events(asked.run)).map(({ type }) => type)).not.toContain("answer-refused");
  expect(house.slack.ephemerals).toEqual([]);
}

const forgeries: readonly (readonly [string, Forgery])[] = [
  ["another secret", { secret: "somebody-elses" }],
  ["an empty secret", { secret: "" }],
  ["no signature", { signature: null }],
  ["an empty signature", { signature: "" }],
  ["a signature without its version", { signature: "0".repeat(64) }],
  ["another version", { version: "v1" }],
  ["a version and nothing else", { signature: "v0=" }],
  ["a body that was changed afterwards", { alter: (body) => body.replace("U0LEAD", "U0CHIEF") }],
  ["no time", { timestamp: null }],
  ["a time that is no number", { timestamp: "now" }],
  ["another time than was signed", { timestamp: String(Math.floor(Date.now() / 1_000) - 1) }],
  ["an age of 301 seconds", { secondsAgo: 301 }],
  ["a time 301 seconds ahead", { secondsAgo: -302 }],
  ["a time one day ahead", { secondsAgo: -86_400 }],
];

test.each(forgeries)("a click with %s is answered 401", async (_case, forge) => {
  const sent = await house.slack.click({ message: asked.message, actionId: approveId, user: "U0LEAD", forge });
  expect([sent.status, JSON.parse(sent.body).type]).toEqual([401, "urn:paramedic:problem:unauthorized"]);
  await expectUntouched();
});

test.each(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])("%s never acts, however well it is signed", async (method) => {
  const value = { approval: asked.approval, digest: asked.digest, run: asked.run };
  const payload = { type: "block_actions", actions: [{ action_id: approveId, value: JSON.stringify(value) }] };
  const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString();
  const sent = await house.slack.post(body, { method });
  expect(sent.status).toBe(405);
  expect((await house.slack.post(body, { method, to: `${house.url}?${body}` })).status).toBe(405);
  await expectUntouched();
});

test("Slack's look at the address needs no signature, and nothing is done with what comes along", async () => {
  const value = JSON.stringify({ approval: asked.approval, digest: asked.digest, run: asked.run });
  const payload = JSON.stringify({
    type: "block_actions",
    user: { id: "U0LEAD" },
    actions: [{ action_id: approveId, action_ts: "1.2", value }],
  });
  const unsigned = { signature: null, timestamp: null };
  const smuggled = new URLSearchParams({ ssl_check: "1", payload }).toString();
  expect((await house.slack.post(smuggled, { forge: unsigned })).status).toBe(200);
  for (const check of ["0", "true", "2"]) {
    const body = new URLSearchParams({ ssl_check: check, payload }).toString();
    expect((await house.slack.post(body, { forge: unsigned })).status).toBe(401);
  }
  await expectUntouched();
});

test("the address is confirmed by a signed challenge only", async () => {
  const body = JSON.stringify({ type: "url_verification", challenge: "3eZbrw1aB" });
  const sent = await house.slack.post(body, { contentType: "application/json" });
  expect([sent.status, sent.body]).toEqual([200, '{"challenge":"3eZbrw1aB"}']);
  const forged = await house.slack.post(body, { contentType: "application/json", forge: { secret: "another" } });
  expect([forged.status, forged.body.includes("3eZbrw1aB")]).toEqual([401, false]);
});

test.each([
  ["no JSON", "application/json", "{", 400],
  ["no object", "application/json", "[]", 400],
  ["a payload that is no object", "application/x-www-form-urlencoded", "payload=null", 400],
  ["2 MiB", "application/x-www-form-urlencoded", `payload=${"a".repeat(2_097_152)}`, 413],
  ["nothing that anybody waits for", "application/x-www-form-urlencoded", "payload=%7B%7D", 200],
  ["a button of nobody", "application/json", '{"type":"block_actions","actions":[{"action_id":"x"}],"user":{}}', 200],
])("a signed body with %s is answered and does nothing", async (_case, contentType, body, status) => {
  expect((await house.slack.post(body, { contentType })).status).toBe(status);
  await expectUntouched();
});

test("other paths are not Slack's", async () => {
  for (const path of ["/slack/events/", "/slack/eventsx", "/SLACK/EVENTS", "/slack"]) {
    const sent = await house.slack.click({
      message: asked.message,
      actionId: approveId,
      user: "U0LEAD",
      to: `${house.origin}${path}`,
    });
    expect([path, sent.status]).toEqual([path, 404]);
  }
  await expectUntouched();
});

test("how far our clock is from Slack's is told of signed requests, also of those that are refused for it", async () => {
  house.skews.length = 0;
  await house.slack.post("payload=%7B%7D", { forge: { secondsAgo: 600 } });
  await house.slack.post("payload=%7B%7D", { forge: { secondsAgo: -120 } });
  await house.slack.post("payload=%7B%7D", { forge: { secondsAgo: 9_000, secret: "another" } });
  expect(house.skews.map((seconds) => Math.round(seconds / 10) * 10)).toEqual([600, -120]);
});

test("an empty secret is refused before anything is listened to", () => {
  for (const signingSecret of ["", "  "]) {
    const options = { signingSecret, now: Date.now, onSkew: () => undefined, take: async () => undefined };
    const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
    expect(() => createReceiver({ ...options, log })).toThrow("signing secret is empty");
  }
});

// Last, since it decides: what was refused above was refused for what is wrong with it.
test.each([
  ["299 seconds old", 299],
  ["of this moment", 0],
])("a genuine click that is %s counts", async (_case, secondsAgo) => {
  const { approval, message } = await house.ask();
  const sent = await house.slack.click({ message, actionId: approveId, user: "U0LEAD", forge: { secondsAgo } });
  expect(sent.status).toBe(200);
  await until(async () => (await house.approval(approval)).state === "approved");
});
