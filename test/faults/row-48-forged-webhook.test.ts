import { connect } from "node:net";

import { alertBody, notificationBody, startWebhookServer, type WebhookServer } from "../support/webhook-server.ts";

const oldToken = "the-token-until-now";
const newToken = "the-token-from-now-on";

let server: WebhookServer;

beforeEach(async () => {
  server = await startWebhookServer({ tokens: [oldToken, newToken] });
});

afterEach(() => server.close());

test.each([
  ["no header", null],
  ["an empty one", ""],
  ["a scheme without a token", "Bearer"],
  ["a scheme and a blank", "Bearer "],
  ["a wrong token", "Bearer the-token-of-another"],
  ["a beginning of the token", `Bearer ${newToken.slice(0, -1)}`],
  ["the token and more", `Bearer ${newToken}x`],
  ["both tokens", `Bearer ${oldToken} ${newToken}`],
  ["both tokens with a comma", `Bearer ${oldToken},${newToken}`],
  ["basic authentication", `Basic ${Buffer.from(`user:${newToken}`).toString("base64")}`],
  ["the bare token", newToken],
])("a webhook with %s is answered 401 and leaves nothing but an audit line", async (_case, authorization) => {
  const answer = await server.post(notificationBody([alertBody(1)]), { authorization });
  expect(answer.status).toBe(401);
  expect(answer.headers["www-authenticate"]).toBe("Bearer");
  expect(answer.json.type).toMatch(/unauthorized$/);
  expect(server.deliveries).toEqual([]);
  expect(server.lines).toMatchObject([
    { message: "A webhook without a valid bearer token was refused", fields: { remoteAddress: "127.0.0.1" } },
  ]);
  expect(JSON.stringify(server.lines)).not.toContain("the-token");
  expect(server.counted.codes).toEqual([401]);
});

test.each([oldToken, newToken])("while tokens are changed, both are valid: %s", async (token) => {
  const answer = await server.post(notificationBody([alertBody(1)]), { authorization: `Bearer ${token}` });
  expect(answer.status).toBe(200);
  expect(server.deliveries).toHaveLength(1);
});

test("the token is judged before the type, the encoding, the size and the text of the body", async () => {
  const headers = { authorization: "Bearer wrong-wrong", "content-type": "text/plain", "content-encoding": "gzip" };
  expect((await server.post("{", headers)).status).toBe(401);
});

test("the answer comes before the body: it is never waited for, and the connection ends", async () => {
  const socket = connect(server.port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.write(
    "POST /webhooks/alertmanager HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong-wrong\r\n" +
      "Content-Type: application/json\r\nContent-Length: 52428800\r\n\r\n{",
  );
  await new Promise((resolve) => socket.on("close", resolve));
  const text = Buffer.concat(chunks).toString();
  expect(text).toMatch(/^HTTP\/1\.1 401 /);
  expect(text.toLowerCase()).toContain("connection: close");
});
