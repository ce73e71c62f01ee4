import { newId } from "../../src/ids.ts";
import { createMitigations } from "../../src/store/mitigations.ts";
import type { Restack } from "../../src/store/revert-due.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { rethrow } from "../support/builders.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.close());

/** A run that changed something for a time, and has ended. */
async function mitigated(revertAt: string | null = "2999-01-01T00:00:00.000Z"): Promise<{ run: string; id: string }> {
  const run = await server.start();
  const id = newId();
  const effects = ["bed 1 gets a blanket"];
  await server.write(
    run,
    [
      { type: "step-planned", step: "heal", digest: "d", plan: { beds: [1] }, effects, durationMs: 1 },
      { type: "step-started", step: "heal", digest: "d" },
      { type: "step-finished", step: "heal", result: null, durationMs: 1 },
      {
        type: "mitigation-began",
        step: "heal",
        mitigation: id,
        action: "ward.heal",
        plan: { beds: [1] },
        effects,
        revertAt,
        onResolved: revertAt === null,
      },
      { type: "ended", outcome: "nothing-to-do", reason: "r" },
    ],
    { state: "ended", outcome: "nothing-to-do" },
  );
  return { run, id };
}

const get = (query = "", as = "screen") => server.call("GET", `/api/v1/mitigations${query}`, { as });
const decide = (id: string, what: "revert" | "keep", as = "lead", body: unknown = { reason: "a test" }) =>
  server.call("POST", `/api/v1/mitigations/${id}/${what}`, { as, body });
const listed = async (query = "") =>
  (await get(query)).json.mitigations as readonly { id: string; state: string; runId: string }[];
const notStacked: Restack = (_, lower, upper) => ({ lower, upper });

test("those in force are listed first, with what each changed and until when", async () => {
  const kept = await mitigated();
  const { run, id } = await mitigated();
  const open = await mitigated(null);
  const last = await mitigated();
  await decide(last.id, "keep");
  await decide(kept.id, "keep");
  expect((await listed()).map((one) => one.id)).toEqual([open.id, id, last.id, kept.id]);
  expect((await listed())[1]).toEqual({
    id,
    runId: run,
    playbook: "heal-ward",
    target: "ward",
    step: "heal",
    action: "ward.heal",
    effects: ["bed 1 gets a blanket"],
    state: "in-force",
    revertAt: "2999-01-01T00:00:00.000Z",
    onResolved: false,
    onEnd: [],
    beganAt: expect.stringMatching(/Z$/),
    endedAt: null,
    decidedBy: null,
    reason: null,
    revertRun: null,
  });
  expect((await listed("?state=kept")).map((one) => one.id)).toEqual([last.id, kept.id]);
  expect((await listed("?state=reverted")).length).toBe(0);
});

test.each(["?state=over", "?limit=3", "?state=kept&state=failed"])("%s is 422", async (query) => {
  expect((await get(query)).status).toBe(422);
});

test("one is put back now where somebody asks for it, by a run that says who and why", async () => {
  const { run, id } = await mitigated();
  const { status, json } = await decide(id, "revert", "shift", { reason: "it is over" });
  expect(status).toBe(200);
  expect(json).toMatchObject({ id, state: "in-force", decidedBy: "api:shift", reason: "it is over" });
  expect(Date.parse(json.revertAt)).toBeLessThanOrEqual(Date.now());
  expect(server.lines.at(-1)).toMatchObject({
    fields: { who: "api:shift", what: "revert a mitigation", mitigation: id },
  });

  const mitigations = createMitigations(server.database, newId, Date.now);
  const [reverting] = await mitigations.revertDue(notStacked, rethrow);
  const shown = await server.call("GET", `/api/v1/runs/${reverting}`, { as: "screen" });
  expect(shown.json).toMatchObject({
    trigger: { kind: "mitigation", run, step: "heal", by: "api:shift", reason: "it is over", plan: { beds: [1] } },
    steps: [{ id: "heal", state: "pending" }],
  });
  expect((await listed("?state=reverting")).map((one) => one.id)).toEqual([id]);
  // Too late for another word.
  for (const what of ["revert", "keep"] as const) {
    const late = await decide(id, what);
    expect(late.status).toBe(409);
    expect(late.json).toMatchObject({
      type: expect.stringMatching(/already-over$/),
      detail: expect.stringContaining("reverting"),
    });
  }
});

test("one is kept for good, and both decisions are in the story of the run that made it", async () => {
  const { run, id } = await mitigated();
  expect((await decide(id, "revert", "shift", { reason: "now" })).status).toBe(200);
  const { status, json } = await decide(id, "keep", "lead", { reason: "no, it helps" });
  expect(status).toBe(200);
  expect(json).toMatchObject({ state: "kept", revertAt: null, endedAt: expect.any(String), decidedBy: "api:lead" });
  const shown = await server.call("GET", `/api/v1/runs/${run}`, { as: "screen" });
  expect(shown.json.events.slice(-2)).toMatchObject([
    { type: "mitigation-decided", decision: "revert", by: "api:shift", reason: "now" },
    { type: "mitigation-decided", decision: "keep", by: "api:lead", reason: "no, it helps" },
  ]);
  expect((await decide(id, "keep")).status).toBe(409);
});

test.each([
  ["list", null, 401],
  ["list", "screen", 200],
  ["revert", "screen", 403],
  ["revert", "shift", 200],
  ["keep", "shift", 403],
  ["keep", "lead", 200],
] as const)("%s as %s is %s", async (what, as, status) => {
  const { id } = await mitigated();
  const answer =
    what === "list" ? await server.call("GET", "/api/v1/mitigations", { as }) : await decide(id, what, as as string);
  expect(answer.status).toBe(status);
  if (status === 403) expect((await listed()).find((one) => one.id === id)).toMatchObject({ state: "in-force" });
});

test.each([
  ["nothing", {}],
  ["an empty reason", { reason: " " }],
  ["more than a reason", { reason: "r", at: "now" }],
])("%s is 422 and decides nothing", async (_what, body) => {
  const { id } = await mitigated();
  for (const what of ["revert", "keep"] as const) expect((await decide(id, what, "lead", body)).status).toBe(422);
  expect((await listed()).find((one) => one.id === id)).toMatchObject({
    state: "in-force",
    revertAt: expect.stringMatching(/^2999/),
  });
});

test.each([newId(), "nonsense", "%00"])("a mitigation %s that does not exist is 404", async (id) => {
  const { status, json } = await decide(id, "revert");
  expect([status, json.type]).toEqual([404, expect.stringMatching(/no-such-mitigation$/)]);
});
