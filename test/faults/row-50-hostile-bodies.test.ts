import { connect } from "node:net";
import { gzipSync } from "node:zlib";

import { createJsonReader } from "../../src/http/json-body.ts";
import {
  alertBody,
  notificationBody,
  startWebhookServer,
  token,
  type WebhookServer,
} from "../support/webhook-server.ts";

const mebibyte = 1_048_576;

let server: WebhookServer;

beforeEach(async () => {
  server = await startWebhookServer();
});

afterEach(async () => {
  expect(server.lines.filter(({ message }) => message.includes("bug"))).toEqual([]);
  await server.close();
});

/** Speaks HTTP by hand and gives back everything the server says until it ends the connection. */
function speak(head: string, write: (socket: import("node:net").Socket) => void): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(chunks).toString()));
    socket.write(
      `POST /webhooks/alertmanager HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: application/json\r\n${head}\r\n\r\n`,
    );
    write(socket);
  });
}

test("a body announced as 50 MB is refused unread", async () => {
  const answer = await speak(`Content-Length: ${50 * mebibyte}`, (socket) => socket.write("{"));
  expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  expect(answer).toContain("body-too-large");
});

test("a body of 50 MB that does not say its size is cut off, with little memory used", async () => {
  const before = process.memoryUsage().rss;
  let written = 0;
  const answer = await speak("Transfer-Encoding: chunked", (socket) => {
    const block = Buffer.alloc(mebibyte, " ");
    const pump = () => {
      if (socket.destroyed || written >= 50 * mebibyte) return;
      written += block.length;
      socket.write("100000\r\n");
      socket.write(block);
      socket.write("\r\n", pump);
    };
    pump();
  });
  expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  expect(written).toBeLessThan(50 * mebibyte);
  expect(process.memoryUsage().rss - before).toBeLessThan(60 * mebibyte);
  expect(server.deliveries).toEqual([]);
});

test("a body of the largest size is read, one byte more is not", async () => {
  const small = await startWebhookServer({ limitBytes: 2_000 });
  const body = notificationBody([alertBody(1)]);
  expect((await small.post(body.padEnd(2_000))).status).toBe(200);
  expect((await small.post(body.padEnd(2_001))).status).toBe(413);
  await small.close();
});

test("a compressed body is refused, so that none can unfold", async () => {
  const bomb = gzipSync(Buffer.alloc(50 * mebibyte, " "));
  for (const encoding of ["gzip", "deflate", "br", "gzip, identity"]) {
    const answer = await server.post(bomb, { "content-encoding": encoding });
    expect(answer.status).toBe(415);
    expect(answer.json.type).toMatch(/unsupported-content-encoding$/);
  }
});

test.each([
  ["no type", null],
  ["text", "text/plain"],
  ["a form", "application/x-www-form-urlencoded"],
  ["several parts", "multipart/form-data; boundary=x"],
  ["a type that begins like JSON", "application/jsonp"],
  ["two types", "application/json, text/plain"],
  ["another character set", "application/json; charset=utf-16"],
])("a body with %s is answered 415", async (_case, type) => {
  expect((await server.post(notificationBody([alertBody(1)]), { "content-type": type })).status).toBe(415);
  expect(server.deliveries).toEqual([]);
});

test.each(["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])(
  "%s is JSON",
  async (type) => {
    expect((await server.post(notificationBody([alertBody(1)]), { "content-type": type })).status).toBe(200);
  },
);

test.each([
  ["nothing", ""],
  ["half of it", '{"version":"4",'],
  ["text after it", '{"version":"4","alerts":[]} x'],
  ["a byte that is no UTF-8", Buffer.from('{"version":"4","alerts":[],"receiver":"\xff"}', "latin1")],
])("a body with %s is malformed and answered 400", async (_case, body) => {
  const answer = await server.post(body);
  expect(answer.status).toBe(400);
  expect(answer.json.type).toMatch(/malformed-json$/);
});

test.each([
  ["lists", "[".repeat(2_000_000) + "]".repeat(2_000_000)],
  ["objects", `${'{"a":'.repeat(1_000_000)}1${"}".repeat(1_000_000)}`],
  ["open lists", "[".repeat(5_000_000)],
])("%s a million deep are answered 400 and crash nothing", async (_case, body) => {
  expect((await server.post(body)).status).toBe(400);
  expect((await server.post(notificationBody([alertBody(1, { extra: 1 })]))).status).toBe(200);
});

test("depth inside a field that is not used is refused as well", async () => {
  const deep = `{"version":"4","alerts":[],"x":${"[".repeat(100)}${"]".repeat(100)}}`;
  const answer = await server.post(deep);
  expect(answer.status).toBe(400);
  expect(answer.json.type).toMatch(/json-too-deep$/);
});

test("brackets inside texts are no depth, whatever is escaped before them", async () => {
  const brackets = '"\\\\[{'.repeat(1_000);
  const answer = await server.post(notificationBody([alertBody(1, { annotations: { a: brackets, b: "\\" } })]));
  expect(answer.status).toBe(200);
  expect(server.deliveries[0]?.alerts[0]?.annotations).toMatchObject({ a: brackets, b: "\\" });
  const deep = JSON.stringify({ version: "4", alerts: [], x: "\\", y: JSON.parse("[".repeat(40) + "]".repeat(40)) });
  expect((await server.post(deep)).json.type).toMatch(/json-too-deep$/);
});

test("of a name that stands twice the last one counts, for every reader of the body", async () => {
  const body = notificationBody([alertBody(1)]).replace('"version":"4"', '"version":"3","version":"4"');
  expect((await server.post(body)).status).toBe(200);
  const reversed = notificationBody([alertBody(1)]).replace('"version":"4"', '"version":"4","version":"3"');
  expect((await server.post(reversed)).status).toBe(422);
});

test.each([
  Number.NaN,
  0,
  -1,
  1.5,
  Number.POSITIVE_INFINITY,
  "8mb" as unknown as number,
  undefined as unknown as number,
])("a limit of %p is no limit and stops the start", (limitBytes) => {
  expect(() => createJsonReader({ limitBytes })).toThrow(RangeError);
});

test("a caller that goes away in the middle of its body is no bug and costs nothing", async () => {
  const socket = connect(server.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    `POST /webhooks/alertmanager HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n` +
      "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
  expect((await server.post(notificationBody([alertBody(1)]))).status).toBe(200);
  expect(server.counted.codes).toEqual([200]);
});
