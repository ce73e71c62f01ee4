import { type ApiServer, startApiServer } from "../support/api-server.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeEach(async () => {
  server = await startApiServer();
});
afterEach(() => server.close());

async function list(query = ""): Promise<{ runs: { id: string }[]; next: string | null }> {
  const { status, json, text } = await server.call("GET", `/api/v1/runs${query}`, { as: "screen" });
  if (status !== 200) throw new Error(`${status}: ${text}`);
  return json;
}

function idsOf(runs: readonly { readonly id: string }[]): string[] {
  return runs.map(({ id }) => id);
}

test("a run is shown with every step, its approvals and its events", async () => {
  const { run, approval, digest } = await server.ask();
  const { json } = await server.call("GET", `/api/v1/runs/${run}`, { as: "screen" });
  expect(json).toEqual({
    id: run,
    playbook: "heal-ward",
    playbookHash: "sha256:heal-ward",
    target: "ward",
    trigger: { kind: "request", by: "api:shift", reason: "a test" },
    episodeId: null,
    inputs: {},
    dryRun: false,
    state: "waiting",
    waitingFor: "approval",
    outcome: null,
    reason: null,
    dueAt: expect.stringMatching(/Z$/),
    createdAt: expect.stringMatching(/Z$/),
    endedAt: null,
    steps: [
      {
        id: "look",
        action: "ward.look",
        state: "observed",
        effects: [],
        digest: null,
        result: { cold: 1 },
        reason: null,
      },
      {
        id: "heal",
        action: "ward.heal",
        state: "waiting-for-approval",
        effects: ["bed 1 gets a blanket"],
        digest,
        result: null,
        reason: null,
      },
    ],
    approvals: [expect.objectContaining({ id: approval, state: "pending" })],
    events: [
      expect.objectContaining({ seq: 1, type: "created" }),
      expect.objectContaining({ seq: 2, type: "step-observed" }),
      expect.objectContaining({ seq: 3, type: "step-planned" }),
      expect.objectContaining({ seq: 4, type: "approval-requested" }),
    ],
    brokenAt: null,
  });
});

test("a history that somebody edited in the database is shown as one, and logged", async () => {
  const run = await server.start();
  await server.end(run);
  const { pool } = server.database;
  await pool.query("ALTER TABLE paramedic.run_events DISABLE TRIGGER append_only");
  await pool.query(
    "UPDATE paramedic.run_events SET event = replace(event::text, 'a test ends it', 'all is well')::json WHERE run_id = $1 AND event ->> 'type' = 'ended'",
    [run],
  );
  await pool.query("ALTER TABLE paramedic.run_events ENABLE TRIGGER append_only");
  const { json } = await server.call("GET", `/api/v1/runs/${run}`);
  const seq = json.events.at(-1).seq;
  expect(json).toMatchObject({ reason: "all is well", brokenAt: seq });
  expect(server.lines.at(-1)).toEqual({
    level: "error",
    fields: { run, seq },
    message: "The history of a run was changed behind its back",
  });
});

test("a run that has ended says how and why", async () => {
  const run = await server.start();
  await server.end(run);
  const { json } = await server.call("GET", `/api/v1/runs/${run}`);
  expect(json).toMatchObject({ state: "ended", outcome: "nothing-to-do", reason: "a test ends it" });
  expect(json.endedAt).toMatch(/Z$/);
  expect(json.steps.map(({ state }: { state: string }) => state)).toEqual(["pending", "pending"]);
});

test("the list is newest first and light", async () => {
  const first = await server.start();
  const second = await server.start({ target: "clinic" }, "lead");
  const { runs, next } = await list();
  expect(idsOf(runs)).toEqual([second, first]);
  expect(next).toBeNull();
  expect(runs[0]).toEqual({
    id: second,
    playbook: "heal-ward",
    playbookHash: "sha256:heal-ward",
    target: "clinic",
    trigger: { kind: "request", by: "api:lead" },
    episodeId: null,
    dryRun: false,
    state: "ready",
    waitingFor: null,
    outcome: null,
    dueAt: null,
    createdAt: expect.any(String),
    endedAt: null,
  });
});

test("the list is filtered by state, outcome, playbook and target", async () => {
  const ready = await server.start();
  const ended = await server.start({ playbook: "fixed-ward", target: undefined });
  await server.end(ended);
  const clinic = await server.start({ target: "clinic" });
  const { run: waiting } = await server.ask();
  const found = async (query: string) => idsOf((await list(query)).runs);
  expect(await found("?state=ended")).toEqual([ended]);
  expect(await found("?state=waiting")).toEqual([waiting]);
  expect(await found("?outcome=nothing-to-do")).toEqual([ended]);
  expect(await found("?outcome=fixed")).toEqual([]);
  expect(await found("?playbook=fixed-ward")).toEqual([ended]);
  expect(await found("?target=clinic")).toEqual([clinic]);
  expect(await found("?state=ready&target=ward&playbook=heal-ward")).toEqual([ready]);
  expect(await found("?playbook=%27%20OR%20true--")).toEqual([]);
});

test("pages join without gap or repetition while runs are added", async () => {
  const ids: string[] = [];
  for (let count = 0; count < 5; count += 1) ids.unshift(await server.start());
  const first = await list("?limit=2");
  expect(idsOf(first.runs)).toEqual(ids.slice(0, 2));
  await server.start();
  const second = await list(`?limit=2&cursor=${first.next}`);
  expect(idsOf(second.runs)).toEqual(ids.slice(2, 4));
  await server.start();
  const third = await list(`?limit=2&cursor=${second.next}`);
  expect(idsOf(third.runs)).toEqual(ids.slice(4));
  expect(third.next).toBeNull();
});

test("a page that is exactly full has no next one", async () => {
  await server.start();
  await server.start();
  expect((await list("?limit=2")).next).toBeNull();
  expect((await list("?limit=1")).next).not.toBeNull();
});

test.each([
  ["limit=0", "limit"],
  ["limit=201", "limit"],
  ["limit=1e2", "limit"],
  ["limit=", "limit"],
  ["limit=-1", "limit"],
  ["limit=1&limit=2", "limit"],
  ["state=done", "state"],
  ["outcome=good", "outcome"],
  ["playbook=", "playbook"],
  ["target=%00", "target"],
  ["cursor=nonsense", "cursor"],
  ["cursor=", "cursor"],
  [`cursor=${Buffer.from("runs 1; DROP TABLE").toString("base64url")}`, "cursor"],
  [`cursor=${Buffer.from("episodes 0199b2c0-0000-7000-8000-000000000000").toString("base64url")}`, "cursor"],
])("?%s is 422", async (query, field) => {
  const answer = await server.call("GET", `/api/v1/runs?${query}`);
  expect(answer.status).toBe(422);
  expect(answer.json.errors).toEqual([{ field, message: expect.stringMatching(/^must /) }]);
});

test("a cancel is told to the run, hinted and logged", async () => {
  const run = await server.start();
  server.hinted.length = 0;
  const answer = await server.call("POST", `/api/v1/runs/${run}/cancel`, {
    as: "shift",
    body: { reason: "wrong ward" },
  });
  expect(answer.status).toBe(200);
  expect(answer.json.id).toBe(run);
  expect(answer.json.events.at(-1)).toMatchObject({ type: "cancel-requested", by: "api:shift", reason: "wrong ward" });
  expect(server.hinted).toEqual([run]);
  expect(server.lines.at(-1)).toEqual({
    level: "info",
    fields: { who: "api:shift", what: "cancel a run", run, reason: "wrong ward" },
    message: "A run was cancelled",
  });
});

test("a run that has ended is not cancelled", async () => {
  const run = await server.start();
  await server.end(run);
  server.hinted.length = 0;
  const answer = await server.call("POST", `/api/v1/runs/${run}/cancel`, { body: { reason: "r" } });
  expect(answer.status).toBe(409);
  expect(answer.json.type).toMatch(/already-ended$/);
  expect(server.hinted).toEqual([]);
});

test("a cancel needs a reason", async () => {
  const run = await server.start();
  for (const body of [{}, { reason: "" }, { reason: 1 }]) {
    const answer = await server.call("POST", `/api/v1/runs/${run}/cancel`, { body });
    expect(answer.status).toBe(422);
    expect(answer.json.errors).toMatchObject([{ field: "reason" }]);
  }
});
