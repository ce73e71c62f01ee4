/** A runaway query is cancelled; where sessions still wait, the database is read-only once somebody agrees, until the alert is over. */

import { until } from "../../support/until.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["database-overload"];

stackServices.describe("database-overload", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "database-overload", ...trouble.stack });
  });
  afterAll(() => stack?.stop());

  test("a page whose query has run for too long fails, and the others go on", async () => {
    const slow = stack.get("/slow/?seconds=100").catch(() => ({ status: 0 }));
    const ended = await stack.ended(await stack.noticed("DatabaseOverload"));
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect((await slow).status).toBe(500);
    expect((await stack.get("/tickets/")).status).toBe(200);
  });

  test("sessions that wait for a lock: read-only while it lasts, and writable again when it is over", async () => {
    await until(async () => !(await stack.get("/monitoring/metrics/")).body.includes("longest_query_seconds 3"));
    const set = `SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
      WHERE d.datname = current_database() AND s.setconfig::text LIKE '%read_only%'`;
    const readOnly = async () => (await stack.sql(set)).length === 1;
    await trouble.cause(stack);
    const run = await until(
      async () =>
        (await stack.service.api("GET", "/api/v1/approvals?state=pending")).body.approvals[0]?.runId as string,
      { timeoutMs: 60_000, what: "a run that asks" },
    );
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("fixed");
    expect(ended.steps.find(({ id }) => id === "readOnly")?.state).toBe("done");
    await until(async () => !(await readOnly()), { timeoutMs: 60_000, what: "the database to be writable again" });
    const reverted = async () =>
      (await stack.service.api("GET", "/api/v1/mitigations?state=reverted")).body.mitigations;
    expect(await until(async () => (await reverted())[0], { what: "the mitigation to be over" })).toMatchObject({
      runId: run,
    });
  });
});
