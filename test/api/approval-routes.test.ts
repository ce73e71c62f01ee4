import { newId } from "../../src/ids.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeEach(async () => {
  server = await startApiServer();
});
afterEach(() => server.close());

function decide(approval: string, body: Record<string, unknown>, as = "lead") {
  return server.call("POST", `/api/v1/approvals/${approval}`, { as, body: { decision: "approve", ...body } });
}

async function listed(query = "?state=pending"): Promise<{ id: string }[]> {
  return (await server.call("GET", `/api/v1/approvals${query}`, { as: "screen" })).json.approvals;
}

test("what waits is listed with its effects and its digest, until somebody decides", async () => {
  const { run, approval, digest } = await server.ask();
  expect(await listed()).toEqual([
    expect.objectContaining({
      id: approval,
      runId: run,
      playbook: "heal-ward",
      target: "ward",
      step: "heal",
      digest,
      effects: ["bed 1 gets a blanket"],
      reasons: ["risk-high"],
      state: "pending",
      atLeast: 1,
      requestedBy: "api:shift",
      decidedAt: null,
      decisions: [],
    }),
  ]);
  expect((await decide(approval, { digest })).status).toBe(200);
  expect(await listed()).toEqual([]);
  expect(await listed("")).toHaveLength(1);
  expect(await listed("?state=approved")).toHaveLength(1);
});

test("an approval is answered, told to the run and hinted", async () => {
  const { run, approval, digest } = await server.ask();
  server.hinted.length = 0;
  const answer = await decide(approval, { digest, reason: "go on" });
  expect(answer.status).toBe(200);
  expect(answer.json).toMatchObject({
    id: approval,
    state: "approved",
    decisions: [{ decision: "approve", by: "api:lead", reason: "go on" }],
  });
  expect(server.hinted).toEqual([run]);
  const { json } = await server.call("GET", `/api/v1/runs/${run}`);
  expect(json.events.at(-1)).toMatchObject({ type: "approval-answered", by: "api:lead", state: "approved" });
  expect(json.steps[1]).toMatchObject({ id: "heal", state: "approved" });
});

test("a plan is declined, with the reason", async () => {
  const { run, approval, digest } = await server.ask();
  const answer = await decide(approval, { decision: "decline", digest, reason: "not now" });
  expect(answer.json).toMatchObject({ state: "declined", decisions: [{ decision: "decline", reason: "not now" }] });
  const { json } = await server.call("GET", `/api/v1/runs/${run}`);
  expect(json.steps[1].reason).toBe("not now");
});

test("where two must approve, one person counts once", async () => {
  const { approval, digest } = await server.ask({ atLeast: 2 });
  expect((await decide(approval, { digest })).json.state).toBe("pending");
  const again = await decide(approval, { digest });
  expect(again.status).toBe(409);
  expect(again.json.type).toMatch(/already-answered$/);
  expect(again.json.detail).toContain("2 different people");
  expect((await decide(approval, { digest }, "deputy")).json.state).toBe("approved");
});

test("who comes second is told who decided, and when", async () => {
  const { approval, digest } = await server.ask();
  const first = await decide(approval, { digest });
  const second = await decide(approval, { decision: "decline", digest }, "deputy");
  expect(second.status).toBe(409);
  expect(second.json.type).toMatch(/already-decided$/);
  expect(second.json.detail).toContain("approved by api:lead");
  expect(second.json.detail).toContain(first.json.decisions[0].at);
});

test("an approval that was withdrawn says so", async () => {
  const { run, approval, digest } = await server.ask();
  await server.call("POST", `/api/v1/runs/${run}/cancel`, { body: { reason: "enough" } });
  await server.write(run, [{ type: "approval-voided", step: "heal", approval, reason: "cancelled" }], {
    state: "released",
  });
  const answer = await decide(approval, { digest });
  expect(answer.status).toBe(409);
  expect(answer.json.type).toMatch(/already-decided$/);
  expect(answer.json.detail).toMatch(/^It was withdrawn at 2/);
});

test.each([newId(), "nonsense", "..", "%00"])("the id %s is 404", async (id) => {
  const answer = await decide(id, { digest: "sha256:x" });
  expect(answer.status).toBe(404);
});

test.each([
  ["nothing", {}, ["decision", "digest"]],
  ["another word", { decision: "yes", digest: "d" }, ["decision"]],
  ["no digest", { decision: "approve" }, ["digest"]],
  ["an unknown field", { decision: "approve", digest: "d", by: "api:lead" }, ["by"]],
  ["a NUL", { decision: "approve", digest: "d\u0000", reason: "\u0000" }, ["digest", "reason"]],
])("a decision with %s is 422", async (_case, body, fields) => {
  const { approval } = await server.ask();
  const answer = await server.call("POST", `/api/v1/approvals/${approval}`, { as: "lead", body });
  expect(answer.status).toBe(422);
  expect(answer.json.errors.map(({ field }: { field: string }) => field).sort()).toEqual(fields);
  expect(await listed()).toHaveLength(1);
});

test("a filter that is none is 422", async () => {
  for (const query of ["?state=open", "?state=pending&state=approved", "?status=pending"]) {
    expect((await server.call("GET", `/api/v1/approvals${query}`)).status).toBe(422);
  }
});

test("whoever is refused stands in the run's history, with the reason", async () => {
  const asked = await server.ask();
  const late = await server.ask({ expiresAt: new Date().toISOString() });
  const shared = await server.ask({ atLeast: 2 });
  const reasons = async ({ run }: { readonly run: string }): Promise<readonly string[]> => {
    const { json } = await server.call("GET", `/api/v1/runs/${run}`);
    const refused = json.events.filter(({ type }: { type: string }) => type === "answer-refused");
    return refused.map(({ by, reason }: { by: string; reason: string }) => `${by} ${reason}`);
  };
  await decide(asked.approval, { digest: "sha256:other" });
  await decide(asked.approval, { digest: asked.digest });
  await decide(asked.approval, { decision: "decline", digest: asked.digest }, "deputy");
  expect(await reasons(asked)).toEqual([
    "api:lead decided about a plan that is not the one that waits",
    "api:deputy came after it was decided",
  ]);
  expect((await decide(late.approval, { digest: late.digest })).json.type).toMatch(/expired$/);
  expect(await reasons(late)).toEqual(["api:lead came after the time to decide"]);
  await decide(shared.approval, { digest: shared.digest });
  await decide(shared.approval, { digest: shared.digest });
  expect(await reasons(shared)).toEqual(["api:lead has approved it before"]);
});

test("what was refused is in the log, with who and what", async () => {
  const { approval } = await server.ask();
  await decide(approval, { digest: "sha256:other" });
  expect(server.lines).toContainEqual({
    level: "warn",
    fields: { who: "api:lead", what: "approve a plan", approval, why: "digest-changed" },
    message: "An answer to an approval was refused",
  });
});
