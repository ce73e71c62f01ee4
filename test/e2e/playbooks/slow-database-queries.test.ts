/** A query without its index is noticed, explained, and fast once somebody has agreed to the index that it lacks. */

import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["slow-database-queries"];

stackServices.describe("slow-database-queries", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "slow-database-queries", ...trouble.stack });
  });
  afterAll(() => stack?.stop());

  test("the statement is shown with its plan, and the index is built once somebody agrees", async () => {
    await trouble.cause(stack);
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
