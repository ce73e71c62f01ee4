import { type ApiServer, noTarget, startApiServer } from "../support/api-server.ts";
import { sharedPostgres } from "../support/postgres.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.close());

const wanted = { playbook: "heal-ward", target: "ward", reason: "the ward is cold" };

function post(body: unknown, headers: Record<string, string> = {}) {
  return server.call("POST", "/api/v1/runs", { as: "shift", body, headers });
}

async function runCount(): Promise<unknown> {
  const { rows } = await server.database.pool.query("SELECT count(*)::int AS count FROM paramedic.runs");
  return rows[0].count;
}

test("an engineer starts a run: it is stored, hinted and answered as it can be read", async () => {
  const { status, json, headers } = await post(wanted);
  expect(status).toBe(201);
  expect(headers.location).toBe(`/api/v1/runs/${json.id}`);
  expect(json).toMatchObject({
    playbook: "heal-ward",
    playbookHash: "sha256:heal-ward",
    target: "ward",
    trigger: { kind: "request", by: "api:shift", reason: "the ward is cold" },
    dryRun: false,
    state: "ready",
    outcome: null,
  });
  expect(server.hinted).toContain(json.id);
  expect((await server.call("GET", `/api/v1/runs/${json.id}`)).json).toEqual(json);
});

test("a dry run is one", async () => {
  expect((await post({ ...wanted, dryRun: true })).json.dryRun).toBe(true);
});

test("the same key gives the same run and starts nothing more", async () => {
  const first = await post(wanted, { "idempotency-key": "again" });
  const hints = server.hinted.length;
  const second = await post({ ...wanted, reason: "worded anew" }, { "idempotency-key": "again" });
  expect([first.status, second.status]).toEqual([201, 200]);
  expect(second.json).toEqual(first.json);
  expect(server.hinted).toHaveLength(hints);
});

test("two requests with one key at the same moment start one run", async () => {
  const before = Number(await runCount());
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => post(wanted, { "idempotency-key": "at the same moment".replaceAll(" ", "-") })),
  );
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
  expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
  expect(await runCount()).toBe(before + 1);
});

test("a key belongs to the one who used it", async () => {
  const mine = await post(wanted, { "idempotency-key": "mine" });
  const theirs = await server.call("POST", "/api/v1/runs", {
    as: "lead",
    body: wanted,
    headers: { "idempotency-key": "mine" },
  });
  expect(theirs.status).toBe(201);
  expect(theirs.json.id).not.toBe(mine.json.id);
});

test.each([
  ["target", { target: "clinic" }],
  ["dryRun", { dryRun: true }],
  ["playbook", { playbook: "fixed-ward" }],
  ["inputs", { playbook: "no-target", target: undefined, inputs: { note: "x" } }],
])("a key that was used with another %s is refused", async (what, changes) => {
  const key = { "idempotency-key": `reused-${what}` };
  const first = what === "inputs" ? { ...wanted, ...changes, inputs: { note: "y" } } : wanted;
  expect((await post(first, key)).status).toBe(201);
  const before = await runCount();
  const answer = await post({ ...wanted, ...changes }, key);
  expect(answer.status).toBe(422);
  expect(answer.json.type).toMatch(/idempotency-key-reused$/);
  expect(await runCount()).toBe(before);
});

test("a default that is filled in and one that is written are the same request", async () => {
  const body = { playbook: "no-target", reason: "r", inputs: { note: "x" } };
  const first = await post(body, { "idempotency-key": "defaults" });
  expect(first.json.inputs).toEqual({ dose: 1, note: "x" });
  const second = await post({ ...body, inputs: { dose: 1, note: "x" } }, { "idempotency-key": "defaults" });
  expect([second.status, second.json.id]).toEqual([200, first.json.id]);
});

test("a default that changed between two tries makes no other request of them; what was given does", async () => {
  const body = { playbook: "no-target", reason: "r", inputs: { note: "x" } };
  const key = { "idempotency-key": "changed-default" };
  const { url } = await sharedPostgres();
  const before = await startApiServer({}, url);
  const first = await before.call("POST", "/api/v1/runs", { as: "shift", body, headers: key });
  await before.close();
  expect(first.json).toMatchObject({ inputs: { dose: 1, note: "x" }, trigger: { defaults: ["dose"] } });
  const later = await startApiServer({ playbooks: [noTarget(2)] }, url);
  try {
    const again = (inputs: object) =>
      later.call("POST", "/api/v1/runs", { as: "shift", body: { ...body, inputs }, headers: key });
    expect(await again({ note: "x" })).toMatchObject({ status: 200, json: { id: first.json.id, inputs: { dose: 1 } } });
    expect(await again({ note: "x", dose: 1 })).toMatchObject({ status: 200 });
    expect(await again({ note: "x", dose: 2 })).toMatchObject({ status: 422 });
    expect(await again({ note: "y" })).toMatchObject({ status: 422 });
  } finally {
    await later.close();
  }
});

test.each([["x".repeat(256)], ["two words"], ["ä"]])("the key %# is none", async (key) => {
  const answer = await post(wanted, { "idempotency-key": key });
  expect(answer.status).toBe(422);
  expect(answer.json.type).toMatch(/invalid-idempotency-key$/);
});

test("a playbook that is not loaded is 404 and says where to look", async () => {
  for (const playbook of ["nonsense", "__proto__", "constructor"]) {
    const answer = await post({ ...wanted, playbook });
    expect(answer.status).toBe(404);
    expect(answer.json.type).toMatch(/no-such-playbook$/);
    expect(answer.json.detail).toContain("/api/v1/playbooks");
  }
});

test.each([
  [
    "a label and an unknown target",
    { target: "morgue" },
    "is not a configured target: the configured targets are ward, clinic",
  ],
  ["a label and no target", { target: undefined }, "is missing: the configured targets are ward, clinic"],
  [
    "a fixed target and another one",
    { playbook: "fixed-ward", target: "clinic" },
    "must be ward or left out: this playbook always acts on that target",
  ],
  [
    "no target and one",
    { playbook: "no-target", inputs: { note: "x" } },
    "must be left out: this playbook acts on no target",
  ],
])("the target is the playbook's choice: %s", async (_case, changes, message) => {
  const answer = await post({ ...wanted, ...changes });
  expect(answer.status).toBe(422);
  expect(answer.json.errors).toEqual([{ field: "target", message }]);
});

test.each([{}, { target: "ward" }, { target: null }])("a fixed target may be named or left out: %j", async (target) => {
  const answer = await post({ playbook: "fixed-ward", reason: "r", ...target });
  expect([answer.status, answer.json.target]).toEqual([201, "ward"]);
});

test("a playbook that declares no inputs can be run by hand, without any", async () => {
  expect((await post({ ...wanted, inputs: {} })).status).toBe(201);
  const answer = await post({ ...wanted, inputs: { dose: 2 } });
  expect(answer.status).toBe(422);
  expect(answer.json.errors).toEqual([
    { field: "inputs", message: "must be left out: this playbook declares no inputs" },
  ]);
});

test("every field at fault is named at once, inputs and target too", async () => {
  const answer = await post({
    playbook: "no-target",
    target: "ward",
    reason: "r",
    inputs: JSON.parse('{"dose":"much","__proto__":1}'),
  });
  expect(answer.status).toBe(422);
  expect(answer.json.errors.map(({ field }: { field: string }) => field).sort()).toEqual([
    "inputs.__proto__",
    "inputs.dose",
    "inputs.note",
    "target",
  ]);
});

test.each([
  ["nothing", {}, ["playbook", "reason"]],
  ["a list", [], ["body"]],
  [
    "wrong types",
    { playbook: 1, target: {}, inputs: [], reason: null, dryRun: "yes" },
    ["dryRun", "inputs", "playbook", "reason", "target"],
  ],
  ["unknown fields", { ...wanted, force: true, Reason: "r" }, ["Reason", "force"]],
  ["an empty reason", { ...wanted, reason: "  " }, ["reason"]],
  ["a reason that is too long", { ...wanted, reason: "x".repeat(1_001) }, ["reason"]],
  ["a NUL, which Postgres cannot store", { ...wanted, reason: "a\u0000b" }, ["reason"]],
  ["half of a surrogate pair", { ...wanted, reason: "a\ud800b" }, ["reason"]],
])("a body with %s is 422 with its fields", async (_case, body, fields) => {
  const before = await runCount();
  const answer = await post(body);
  expect(answer.status).toBe(422);
  expect(answer.headers["content-type"]).toBe("application/problem+json");
  expect(answer.json.errors.map(({ field }: { field: string }) => field).sort()).toEqual(fields);
  expect(await runCount()).toBe(before);
});

test("an input with a control character is refused before it reaches the store", async () => {
  const answer = await post({ playbook: "no-target", reason: "r", inputs: { note: "a\u0000b" } });
  expect(answer.status).toBe(422);
  expect(answer.json.errors).toEqual([{ field: "inputs.note", message: "must not contain control characters" }]);
});
