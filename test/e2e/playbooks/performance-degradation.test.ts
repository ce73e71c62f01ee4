/** Queries that take longer than yesterday are noticed; a bloated table is cleaned up, and its indexes are rebuilt once somebody agrees, with its size before and after. */

import { pages } from "../../support/callers.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["performance-degradation"];
const dba = "dba-team@youtility.com";

stackServices.describe("performance-degradation", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "performance-degradation",
      ...trouble.stack,
      yesterday: { youtility3_query_time_p95_seconds: 0.000_1 },
      hurry: [
        ["p95_seconds > 0.03", "p95_seconds > 0.001"],
        ["within: 30s", "within: 8s"],
        // On a busy machine.
        ["query_time_p95 < 30", "query_time_p95 < 60"],
      ],
    });
  });
  afterAll(() => stack?.stop());

  /** The files of the table's indexes, which a rebuilt one has a new one of. */
  async function files(): Promise<readonly unknown[]> {
    const sql = `SELECT pg_relation_filenode(indexrelid) AS file FROM pg_index
      WHERE indrelid = 'core_ticket'::regclass ORDER BY indexrelid::regclass::text`;
    return (await stack.sql(sql)).map(({ file }) => file);
  }

  test("an alert that comes too late: there is nothing to clean up, and nothing is rebuilt", async () => {
    await stack.sql("ANALYZE");
    await stack.sql("VACUUM");
    const before = await files();
    const ended = await stack.late("PerformanceDegraded", ["/search/?times=5"]);
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    await stack.says(ended.id, "Nothing to do: PerformanceDegraded on youtility3");
    await stack.says(ended.id, "• no table is bloated");
    expect(await files()).toEqual(before);
  });

  test("somebody declines to rebuild: the rows are cleaned up, the indexes are as they were", async () => {
    await trouble.cause(stack);
    const before = await files();
    const people = stack.visit(["/search/?times=5"]);
    const run = await stack.noticed("PerformanceDegraded");
    const { text } = await stack.asked(run);
    expect(text).toMatch(/^Approve reindex on youtility3\?\nPerformanceDegraded, warning, /);
    expect(text).toMatch(/\n• 95 % of responses take up to \d+ ms, 95 % of queries up to \d+ ms\n/);
    expect(text).toMatch(/\n• core_ticket is bloated: \d\d % of its rows are dead\n/);
    await stack.decline(run);
    const ended = await stack.ended(run);
    await people.stop();
    expect(ended.outcome).toBe("declined");
    await stack.says(run, "*Declined* by <@U0LEAD>");
    expect(ended.steps.find(({ id }) => id === "vacuum")?.state).toBe("done");
    expect(await files()).toEqual(before);
    await stack.calm();
  });

  test("dead rows go, the indexes shrink, and both sizes stand in the story", async () => {
    await trouble.cause(stack);
    const before = await files();
    const people = stack.visit(["/search/?times=5"]);
    const run = await stack.noticed("PerformanceDegraded");
    await stack.approve(run);
    const ended = await stack.ended(run);
    await people.stop();
    expect(ended.outcome).toBe("fixed");
    const sizes = (id: string) => {
      const result = ended.steps.find((step) => step.id === id)?.result as {
        tables: { table: string; deadRows: number; indexBytes: number }[];
      };
      return result.tables.find(({ table }) => table === "core_ticket");
    };
    expect(sizes("before")?.deadRows).toBeGreaterThan(40_000);
    expect(sizes("after")?.deadRows).toBe(0);
    expect(sizes("after")?.indexBytes).toBeLessThan((sizes("before")?.indexBytes ?? 0) / 2);
    expect(await files()).not.toEqual(before);
    await stack.says(run, "• afterwards the tables and indexes take ");
    await stack.calm();
  });

  test("what is slow for another reason stays so, though below the page's limit: the database's people are told what was measured", async () => {
    await trouble.cause(stack);
    const people = stack.visit(["/slow/?seconds=0.09"]);
    const run = await stack.noticed("PerformanceDegraded");
    await stack.approve(run);
    const ended = await stack.ended(run);
    await people.stop();
    expect(ended.outcome).toBe("ineffective");
    expect(ended.reason).toMatch(/ 95 % of queries up to \d{2,3} ms\)$/);
    await stack.says(run, "Needs you: performance-degradation on youtility3");
    await stack.mailed(run, dba, "hands it over to you");
    expect(pages(stack.callers)).toEqual([]);
  });
});
