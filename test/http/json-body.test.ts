import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";

import { createJsonReader, type JsonBody } from "../../src/http/json-body.ts";

let server: Server;
let bodies: Promise<JsonBody>[];

beforeEach(async () => {
  const read = createJsonReader({ limitBytes: 100 });
  bodies = [];
  server = createServer((request, response) => {
    const body = read(request);
    bodies.push(body);
    body.then(() => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterEach(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});

function send(text: string) {
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${text}`);
  return socket;
}

test("a body in many pieces is put together", async () => {
  const pieces = Array.from('{"a":"é🚑"}', (character) => {
    const bytes = Buffer.from(character);
    return `${bytes.length.toString(16)}\r\n${character}\r\n`;
  });
  const socket = send(`Transfer-Encoding: chunked\r\n\r\n${pieces.join("")}0\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  socket.destroy();
  expect(await bodies[0]).toEqual({ ok: true, value: { a: "é🚑" } });
});

test("a body whose sender goes away ends in nothing, and does not stay open for ever", async () => {
  const requested = new Promise((resolve) => server.once("request", resolve));
  const socket = send("Content-Length: 90\r\n\r\n{");
  await requested;
  socket.destroy();
  expect(await bodies[0]).toBeNull();
});
