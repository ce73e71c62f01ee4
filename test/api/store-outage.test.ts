import { isStoreOutage } from "../../src/api/store-outage.ts";

test.each([
  ["a refused connection", { code: "ECONNREFUSED" }, true],
  ["a server that shuts down", { code: "57P01" }, true],
  ["too many connections", { code: "53300" }, true],
  ["a statement that took too long", { code: "57014" }, true],
  ["no free connection in time", { message: "timeout exceeded when trying to connect" }, true],
  ["a connection that was cut", { message: "Connection terminated unexpectedly" }, true],
  ["an answer that did not come", { message: "Query read timeout" }, true],
  ["a statement that is wrong", { code: "42601" }, false],
  ["a value that Postgres cannot store", { code: "22021" }, false],
  ["a bug", { message: "x is not a function" }, false],
])("%s: an outage of the store is %s", (_case, { code, message }: { code?: string; message?: string }, outage) => {
  expect(isStoreOutage(Object.assign(new Error(message), code === undefined ? {} : { code }))).toBe(outage);
});

test("what is no error is none", () => {
  for (const thrown of [null, undefined, "ECONNREFUSED", 1]) expect(isStoreOutage(thrown)).toBe(false);
});
