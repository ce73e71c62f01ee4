/** A query without its index is noticed, explained, and fast once somebody has agreed to the index that it lacks. */

import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

stackServices.describe("slow-database-queries", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "slow-database-queries",
      // A table of a size that a test can fill: milliseconds in place of tenths of a second.
      hurry: [
        ["p95_seconds > 0.1", "p95_seconds > 0.02"],
        ["minMeanMs: 100", "minMeanMs: 20"],
        ["query_time_p95 < 100", "query_time_p95 < 20"],
      ],
    });
    await stack.sql(
      `INSERT INTO core_ticket (location_id, title, status, priority, opened_at)
       SELECT (SELECT max(id) FROM core_location), 'ticket ' || n, 'open', 1, now() FROM generate_series(1, 800000) n`,
    );
    await stack.sql("ANALYZE core_ticket");
  });
  afterAll(() => stack?.stop());

  test("the statement is shown with its plan, and the index is built once somebody agrees", async () => {
    stack.visit(["/search/?times=5"]);
    const run = await stack.noticed("DatabaseQuerySlow");
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("fixed");
    expect(resultOf(ended, "plan")).toMatchObject({ wholeTables: ["public.core_ticket"] });
    expect(resultOf(ended, "missing")).toMatchObject({ suggestions: [{ table: "core_ticket", columns: ["title"] }] });
    const indexes = await stack.sql("SELECT indexdef FROM pg_indexes WHERE tablename = 'core_ticket'");
    expect(indexes.map(({ indexdef }) => indexdef)).toContainEqual(expect.stringMatching(/\(title\)$/));
  });
});
