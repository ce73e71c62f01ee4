/** Row 58: whoever requested a run does not approve its changes. */

import { type ApiServer, startApiServer } from "../support/api-server.ts";

jest.setTimeout(60_000);

let server: ApiServer;

beforeEach(async () => {
  server = await startApiServer();
});
afterEach(() => server.close());

test.each(["lead", "chief"])(
  "%s requests a run and cannot approve its change; somebody else can",
  async (requester) => {
    const { run, approval, digest } = await server.ask({ by: requester });
    const path = `/api/v1/approvals/${approval}`;
    const own = await server.call("POST", path, { as: requester, body: { decision: "approve", digest } });
    expect(own.status).toBe(403);
    expect(own.json.type).toMatch(/own-request$/);
    expect(own.json.detail).toContain("Ask somebody else");
    const { json } = await server.call("GET", `/api/v1/runs/${run}`);
    expect(json.approvals).toMatchObject([{ state: "pending", decisions: [] }]);
    expect(json.events.map(({ type }: { type: string }) => type)).not.toContain("approval-answered");
    expect(server.lines).toContainEqual(
      expect.objectContaining({
        fields: expect.objectContaining({ who: `api:${requester}`, what: "approve a plan", why: "own-request" }),
      }),
    );
    const other = await server.call("POST", path, { as: "deputy", body: { decision: "approve", digest } });
    expect([other.status, other.json.state]).toEqual([200, "approved"]);
  },
);

test("where two must approve, the requester is neither of them", async () => {
  const { approval, digest } = await server.ask({ by: "lead", atLeast: 2 });
  const path = `/api/v1/approvals/${approval}`;
  const body = { decision: "approve", digest };
  expect((await server.call("POST", path, { as: "deputy", body })).json.state).toBe("pending");
  expect((await server.call("POST", path, { as: "lead", body })).status).toBe(403);
  expect((await server.call("POST", path, { as: "chief", body })).json.state).toBe("approved");
});

test("the requester may decline", async () => {
  const { approval, digest } = await server.ask({ by: "lead" });
  const answer = await server.call("POST", `/api/v1/approvals/${approval}`, {
    as: "lead",
    body: { decision: "decline", digest },
  });
  expect([answer.status, answer.json.state]).toEqual([200, "declined"]);
});
