import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";

import { errorHandler, notFound } from "../../src/http/errors.ts";

async function answerOf(path: string, fail: express.RequestHandler) {
  const lines: object[] = [];
  const app = express();
  app.get("/fail/:name", fail);
  app.use(notFound());
  app.use(errorHandler({ error: (fields, message) => void lines.push({ ...fields, message }) }));
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    return { status: response.status, text: await response.text(), lines };
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("what a route throws or rejects with is logged and answered 500 without a word of it", async () => {
  const bug = new Error("canary");
  for (const fail of [() => Promise.reject(bug), () => Promise.reject({ ...bug, status: 418, expose: true })]) {
    const { status, text, lines } = await answerOf("/fail/x", fail);
    expect(status).toBe(500);
    expect(JSON.parse(text).type).toMatch(/internal-error$/);
    expect(text).not.toContain("canary");
    expect(lines).toMatchObject([{ method: "GET", path: "/fail/x", message: "A request failed by a bug" }]);
  }
});

test("a bug in the middle of an answer cuts the answer off, so that half of one is never taken for all", async () => {
  await expect(
    answerOf("/fail/x", (_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half");
      throw new Error("bug");
    }),
  ).rejects.toThrow();
});

test("a path that cannot be decoded is the caller's fault", async () => {
  const { status, lines } = await answerOf("/fail/%ff", () => {});
  expect([status, lines]).toEqual([400, []]);
});

test("a path that nobody knows is a 404 problem that does not repeat it", async () => {
  const { status, text } = await answerOf("/canary", () => {});
  expect(status).toBe(404);
  expect(JSON.parse(text).type).toMatch(/not-found$/);
  expect(text).not.toContain("canary");
});
