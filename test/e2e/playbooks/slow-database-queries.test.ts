/** A query without its index is noticed, explained, and fast once somebody has agreed to the index that it lacks; what runs away is cancelled. */

import { pages } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { manyTickets, troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["slow-database-queries"];
const dba = "dba-team@youtility.com";

stackServices.describe("slow-database-queries", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "slow-database-queries",
      ...trouble.stack,
      hurry: [
        ...trouble.stack.hurry,
        ["longestSeconds > 120", "longestSeconds > 5"],
        ["olderThanSeconds: 120", "olderThanSeconds: 5"],
        ["within: 30s", "within: 15s"],
      ],
    });
    await manyTickets(stack);
  });
  afterAll(() => stack?.stop());

  const running =
    "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100%' AND query_start < now() - interval '5 s'";

  async function indexes(): Promise<readonly unknown[]> {
    const found = await stack.sql("SELECT indexdef FROM pg_indexes WHERE tablename = 'core_ticket' ORDER BY 1");
    return found.map(({ indexdef }) => indexdef);
  }

  test("somebody declines the index: the table is as it was, and the question says what was found", async () => {
    const before = await indexes();
    const people = stack.visit(["/search/?times=5"]);
    const run = await stack.noticed("DatabaseQuerySlow");
    const { text } = await stack.asked(run);
    expect(text).toMatch(/^Approve index on youtility3\?\nDatabaseQuerySlow, warning, /);
    expect(text).toMatch(/\n• the application's slowest query took \d+ ms: SELECT COUNT\(\*\) .*core_ticket/);
    expect(text).toMatch(/\n• slowest statement: \d+ ms on average of \d+ calls: SELECT COUNT\(\*\) .*core_ticket/);
    expect(text).toContain("\n• its plan reads all of public.core_ticket\n");
    expect(text).toMatch(/\n• an index on core_ticket \(title\) would help \d+ calls: SELECT COUNT/);
    expect(text).toMatch(/• CREATE INDEX CONCURRENTLY .*core_ticket.*title/i);
    await stack.decline(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("declined");
    expect(ended.events.map(({ type }) => type)).not.toContain("escalated");
    await people.stop();
    await stack.says(run, "*Declined* by <@U0LEAD>");
    expect(await indexes()).toEqual(before);
    await stack.calm();
  });

  test("the statement is shown with its plan, and the index is built once somebody agrees", async () => {
    const people = stack.visit(["/search/?times=5"]);
    const run = await stack.noticed("DatabaseQuerySlow");
    await stack.approve(run);
    const ended = await stack.ended(run);
    await people.stop();
    expect(ended.outcome).toBe("fixed");
    expect(resultOf(ended, "plan")).toMatchObject({ wholeTables: ["public.core_ticket"] });
    expect(resultOf(ended, "missing")).toMatchObject({ suggestions: [{ table: "core_ticket", columns: ["title"] }] });
    expect(await indexes()).toContainEqual(expect.stringMatching(/\(title\)$/));
    await stack.says(run, "Fixed: DatabaseQuerySlow on youtility3");
    await stack.calm();
  });

  test("an alert that comes too late: looked at again, and nothing is changed", async () => {
    const before = await indexes();
    await stack.quiet();
    const ended = await stack.late("DatabaseQuerySlow", ["/search/"]);
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    await stack.says(ended.id, "Nothing to do: DatabaseQuerySlow on youtility3");
    await stack.says(ended.id, "• the application has seen no query of 100 ms or more");
    await stack.says(ended.id, "• no statement lacks an index");
    expect(await indexes()).toEqual(before);
  });

  test("no index would help: what runs away is cancelled, and the rest is handed over with what was measured", async () => {
    const runaway = stack.get("/slow/?seconds=100").catch(() => ({ status: 0 }));
    await until(async () => (await stack.sql(running)).length > 0, {
      timeoutMs: 30_000,
      what: "a query that runs away",
    });
    const people = stack.visit(["/slow/?seconds=0.2"]);
    const run = await stack.noticed("DatabaseQuerySlow");
    const ended = await stack.ended(run);
    await people.stop();
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.reason).toMatch(/did not hold within 15s \(95 % of queries take up to \d+ ms\)$/);
    expect(resultOf(ended, "cancel").cancelled).toHaveLength(1);
    expect((await runaway).status).toBe(500);
    await stack.says(run, "Needs you: slow-database-queries on youtility3");
    await stack.mailed(run, dba, "hands it over to you");
    await stack.mailed(run, dba, "slowest statement: ");
    expect(pages(stack.callers)).toEqual([]);
    await stack.calm();
  });

  test("nobody asks the database for anything any more: that is no recovery, and the database's people are told so", async () => {
    await stack.quiet();
    const { run, resolve } = await stack.posted("DatabaseQuerySlow");
    const ended = await stack.ended(run);
    await resolve();
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.reason).toMatch(
      / did not hold within 15s \(no query was measured since: nobody has asked for a page /,
    );
  });

  test("the slowest statement cannot be explained: what runs away is cancelled all the same", async () => {
    const session = await stack.patient.session();
    await session.client.query("CREATE TEMPORARY TABLE of_a_session AS SELECT 1 AS n");
    await session.client.query("SELECT pg_sleep(4) FROM of_a_session");
    const runaway = stack.get("/slow/?seconds=100").catch(() => ({ status: 0 }));
    await until(async () => (await stack.sql(running)).length > 0, {
      timeoutMs: 30_000,
      what: "a query that runs away",
    });
    const people = stack.visit(["/slow/?seconds=0.2"]);
    const run = await stack.noticed("DatabaseQuerySlow");
    const ended = await stack.ended(run);
    await people.stop();
    expect(resultOf(ended, "statements").statements[0].query).toContain("of_a_session");
    expect(ended.steps.find(({ id }) => id === "plan")).toMatchObject({
      state: "skipped",
      reason: expect.stringMatching(/^not known: /),
    });
    expect(resultOf(ended, "cancel").cancelled).toHaveLength(1);
    expect((await runaway).status).toBe(500);
    await stack.mailed(run, dba, "hands it over to you");
  });
});
