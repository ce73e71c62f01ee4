/** A bloated table is cleaned up and its indexes are rebuilt once somebody agrees, with its size before and after. */

import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["performance-degradation"];

stackServices.describe("performance-degradation", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "performance-degradation", ...trouble.stack });
    await trouble.cause(stack);
  });
  afterAll(() => stack?.stop());

  test("dead rows go, the indexes shrink, and both sizes stand in the story", async () => {
    const run = await stack.request({});
    await stack.approve(run);
    const ended = await stack.ended(run);
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
  });
});
