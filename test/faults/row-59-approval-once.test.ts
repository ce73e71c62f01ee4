/** Row 59: an approval is used once, for its own run and plan, and in time. */

import fc from "fast-check";
import { type Answer, type ApiServer, startApiServer } from "../support/api-server.ts";

jest.setTimeout(120_000);

let server: ApiServer;

beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.close());

function decide(approval: string, digest: string, as = "lead", decision = "approve"): Promise<Answer> {
  return server.call("POST", `/api/v1/approvals/${approval}`, { as, body: { decision, digest } });
}

function refusal({ status, json }: Answer): string {
  return `${status} ${json.type.split(":").at(-1)}`;
}

async function answers(run: string): Promise<unknown[]> {
  const { json } = await server.call("GET", `/api/v1/runs/${run}`);
  return json.events.filter(({ type }: { type: string }) => type === "approval-answered");
}

/** The time to decide it is over, and nobody has swept it up. */
async function expire(approval: string): Promise<void> {
  await server.database.pool.query("UPDATE paramedic.approvals SET expires_at = now() WHERE id = $1", [approval]);
}

test("twenty clicks at the same moment are one decision", async () => {
  const { run, approval, digest } = await server.ask();
  const people = ["lead", "deputy", "chief"];
  const clicks = await Promise.all(
    Array.from({ length: 20 }, (_, click) =>
      decide(approval, digest, people[click % 3], click % 2 === 0 ? "approve" : "decline"),
    ),
  );
  expect(clicks.filter(({ status }) => status === 200)).toHaveLength(1);
  expect(new Set(clicks.filter(({ status }) => status !== 200).map(refusal))).toEqual(new Set(["409 already-decided"]));
  expect(await answers(run)).toHaveLength(1);
});

test("the digest of another run's plan approves nothing", async () => {
  const [one, other] = [await server.ask(), await server.ask()];
  expect(refusal(await decide(one.approval, other.digest))).toBe("409 digest-changed");
  expect(await answers(one.run)).toEqual([]);
  expect(await answers(other.run)).toEqual([]);
});

test("an approval whose time is over is not given, even before anybody has swept it up", async () => {
  const { run, approval, digest } = await server.ask({ expiresAt: new Date(Date.now() - 1_000).toISOString() });
  expect(refusal(await decide(approval, digest))).toBe("409 expired");
  expect(await answers(run)).toEqual([]);
});

test("an approval that has expired stays expired", async () => {
  const { run, approval, digest } = await server.ask({ expiresAt: new Date(Date.now() - 1_000).toISOString() });
  await server.write(run, [{ type: "approval-expired", step: "heal", approval }], { state: "released" });
  expect(refusal(await decide(approval, digest))).toBe("409 expired");
});

test("whatever people do in whatever order, only the right answers in time count", async () => {
  const click = fc.record({
    as: fc.constantFrom("lead", "deputy", "chief"),
    decision: fc.constantFrom("approve", "approve", "decline"),
    right: fc.boolean(),
  });
  const inTime = fc.oneof({ weight: 2, arbitrary: fc.constant(8) }, { weight: 1, arbitrary: fc.nat({ max: 7 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("shift", "lead"),
      fc.integer({ min: 1, max: 3 }),
      fc.array(click, { maxLength: 8 }),
      inTime,
      async (requester, atLeast, clicks, clicksInTime) => {
        const { run, approval, digest } = await server.ask({ by: requester, atLeast });
        const approvers = new Set<string>();
        let state = "pending";
        for (const [number, { as, decision, right }] of clicks.entries()) {
          if (number === clicksInTime) await expire(approval);
          const mayStill = decision === "decline" || (!approvers.has(as) && as !== requester);
          const counts = state === "pending" && number < clicksInTime && right && mayStill;
          if (counts && decision === "approve") approvers.add(as);
          if (counts && decision === "decline") state = "declined";
          else if (counts && approvers.size === atLeast) state = "approved";
          const answer = await decide(approval, right ? digest : "sha256:another", as, decision);
          expect(answer.status === 200).toBe(counts);
          if (counts) expect(answer.json.state).toBe(state);
        }
        const { json } = await server.call("GET", `/api/v1/runs/${run}`);
        expect(json.approvals[0].state).toBe(state);
      },
    ),
    { numRuns: 25 },
  );
});
