/** Row 60: no route answers without a token, none with too low a role, and nothing unknown is swallowed. */

import { isAllowed, roles } from "../../src/domain/role.ts";
import { newId } from "../../src/ids.ts";
import { type ApiServer, startApiServer, tokens } from "../support/api-server.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.close());

const open = ["/healthz", "/readyz"];

/** Every path and method that Express itself has a route for, whatever our own table says. */
function walk(): { method: string; path: string }[] {
  const layers = (server.api.router as unknown as { stack: readonly Layer[] }).stack;
  return layers.flatMap(({ route }) =>
    route
      ? route.stack.flatMap(({ method }) => (method ? [{ method: method.toUpperCase(), path: route.path }] : []))
      : [],
  );
}

interface Layer {
  readonly route?: { readonly path: string; readonly stack: readonly { readonly method?: string }[] };
}

function real(path: string): string {
  return path.replace(":id", newId()).replace(":name", "heal-ward");
}

test("the walk finds the routes of the table and no others", () => {
  const found = walk().map(({ method, path }) => `${method} ${path}`);
  expect(found.sort()).toEqual(server.api.routes.map(({ method, path }) => `${method} ${path}`).sort());
  expect(found.length).toBeGreaterThanOrEqual(14);
});

test("only /healthz and /readyz answer without a token", async () => {
  const answered: string[] = [];
  for (const { method, path } of walk()) {
    for (const as of [null, "nobody"]) {
      const headers: Record<string, string> = as === null ? {} : { authorization: "Bearer wrong" };
      const answer = await server.call(method, real(path), { as: null, headers });
      if (answer.status === 401) {
        expect(answer.headers["www-authenticate"]).toBe("Bearer");
        expect(answer.json.type).toMatch(/unauthorized$/);
      } else answered.push(path);
    }
  }
  expect([...new Set(answered)].sort()).toEqual(open);
});

test.each([
  ["a path that is none", "GET", "/api/v1/nonsense"],
  ["the root of the API", "GET", "/api"],
  ["another method", "DELETE", "/api/v1/runs"],
  ["OPTIONS", "OPTIONS", "/api/v1/runs"],
  ["HEAD", "HEAD", "/api/v1/runs"],
  ["a slash at the end", "GET", "/api/v1/runs/"],
  ["a path that cannot be decoded", "GET", "/api/v1/runs/%zz"],
  ["below the metrics", "GET", "/metrics/x"],
])("%s answers 401 without a token, too", async (_case, method, path) => {
  expect((await server.call(method, path, { as: null })).status).toBe(401);
});

test.each(["/API/v1/runs", "//api/v1/runs", "/api//v1/runs", "/api/v1/../v1/runs", "/%61pi/v1/runs", "/METRICS"])(
  "writing the path as %s is no way in",
  async (path) => {
    expect([401, 404]).toContain((await server.call("GET", path, { as: null })).status);
  },
);

test.each([
  ["Basic", "Basic c2VjcmV0LW9mLWNoaWVm"],
  ["no scheme", "secret-of-chief"],
  ["a prefix", "Bearer secret-of-chie"],
  ["a suffix", "Bearer secret-of-chief2"],
  ["two tokens", "Bearer secret-of-chief secret-of-lead"],
  ["nothing", "Bearer "],
])("a credential with %s is none", async (_case, authorization) => {
  const answer = await server.call("GET", "/api/v1/runs", { as: null, headers: { authorization } });
  expect(answer.status).toBe(401);
});

test("a token in the query string is none", async () => {
  expect((await server.call("GET", "/api/v1/runs?access_token=secret-of-chief", { as: null })).status).toBe(401);
});

test("each route refuses every role below its own, reads no body for it, and lets the others through", async () => {
  for (const route of server.api.routes) {
    if (route.role === null) continue;
    for (const { name, role } of tokens) {
      const { status, json } = await server.call(route.method, real(route.path), { as: name, body: "{" });
      const what = `${route.method} ${route.path} as ${role}: ${status}`;
      if (isAllowed(role, route.role)) {
        expect(what).not.toMatch(/: (401|403|5..)$/);
      } else {
        expect(what).toMatch(/: 403$/);
        expect(json).toMatchObject({
          type: "urn:paramedic:problem:forbidden",
          detail: expect.stringContaining(route.role),
        });
      }
    }
  }
});

test("the roles are in order, each with what the one before may do", () => {
  expect(roles).toEqual(["viewer", "operator", "approver", "admin"]);
  const allowed = server.api.routes
    .map(({ method, path, role }) => `${method} ${path} ${role}`)
    .filter((line) => !/viewer|null/.test(line));
  expect(allowed.sort()).toEqual([
    "POST /api/v1/approvals/:id approver",
    "POST /api/v1/mitigations/:id/keep approver",
    "POST /api/v1/mitigations/:id/revert operator",
    "POST /api/v1/runs operator",
    "POST /api/v1/runs/:id/acknowledge operator",
    "POST /api/v1/runs/:id/cancel operator",
    "PUT /api/v1/switch approver",
  ]);
});

test("a call that is forbidden is in the log, with who and what, and without the token", async () => {
  await server.call("PUT", "/api/v1/switch", { as: "shift", body: { paused: true, reason: "r" } });
  await server.call("GET", "/api/v1/runs", { as: null, headers: { authorization: "Bearer a-wrong-one" } });
  expect(server.lines).toContainEqual({
    level: "warn",
    fields: { who: "api:shift", what: "PUT /api/v1/switch", needs: "approver" },
    message: "A call of the API was refused because the role of its token does not allow it",
  });
  expect(server.lines).toContainEqual({
    level: "warn",
    fields: { who: "127.0.0.1", what: "GET /api/v1/runs" },
    message: "A call of the API without a valid bearer token was refused",
  });
  expect(JSON.stringify(server.lines)).not.toMatch(/a-wrong-one|secret-of/);
});

test.each([
  ["POST", "/api/v1/runs", { playbook: "heal-ward", target: "ward", reason: "r", skipApproval: true }],
  ["POST", "/api/v1/runs/:id/cancel", { reason: "r", force: true }],
  ["POST", "/api/v1/approvals/:id", { decision: "approve", digest: "d", as: "api:lead" }],
  ["PUT", "/api/v1/switch", { paused: true, reason: "r", by: "api:lead" }],
])("%s %s refuses a field that it does not know", async (method, path, body) => {
  const answer = await server.call(method, real(path), { body });
  expect(answer.status).toBe(422);
  expect(answer.json.errors).toEqual([{ field: Object.keys(body).at(-1), message: "is not known here" }]);
});

test.each(["/api/v1/runs", "/api/v1/episodes", "/api/v1/approvals", `/api/v1/runs/${newId()}`])(
  "%s refuses a parameter that it does not know",
  async (path) => {
    const answer = await server.call("GET", `${path}?nonsense=1`);
    expect(answer.status).toBe(422);
    expect(answer.json.errors).toEqual([{ field: "nonsense", message: "is not known here" }]);
  },
);

test.each([
  ["GET", "/api/v1/runs/:id"],
  ["GET", "/api/v1/runs/:id/events"],
  ["POST", "/api/v1/runs/:id/cancel"],
  ["POST", "/api/v1/approvals/:id"],
])("%s %s answers 404 to an id of something else and to what is none", async (method, path) => {
  const { run, approval } = await server.ask();
  const other = path.includes("approvals") ? run : approval;
  const body = path.includes("approvals") ? { decision: "approve", digest: "d" } : { reason: "r" };
  for (const id of [other, newId(), "1", "null", `${run}'`, `${run}x`, "x".repeat(2_000), "%00", "%2e%2e"]) {
    const answer = await server.call(method, path.replace(":id", id), method === "GET" ? {} : { body });
    expect(`${id}: ${answer.status}`).toBe(`${id}: 404`);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
  }
});

test("a step is approved only once it asks, and only with its own approval", async () => {
  const run = await server.start();
  const early = await server.call("POST", `/api/v1/approvals/${newId()}`, {
    body: { decision: "approve", digest: "d" },
  });
  expect(early.status).toBe(404);
  expect((await server.call("GET", `/api/v1/runs/${run}`)).json.events).toHaveLength(1);
});
