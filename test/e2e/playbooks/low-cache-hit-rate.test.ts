/** A cold cache is noticed, warmed, and its hit rate rises, with nobody touching anything. */

import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["low-cache-hit-rate"];

stackServices.describe("low-cache-hit-rate", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "low-cache-hit-rate", ...trouble.stack });
  });
  afterAll(() => stack?.stop());

  test("a cold cache is warmed, and pages that nobody has looked at yet are there at once", async () => {
    const { people, pages } = await trouble.cause(stack);
    const run = await stack.noticed("LowCacheHitRate");
    const ended = await stack.ended(run);
    // Otherwise it is the people who have warmed it.
    expect(people.seen()).toBeLessThan(pages.length);
    await people.stop();
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect(resultOf(ended, "window").hitRate).toBeLessThan(0.5);
    expect(resultOf(ended, "misses").body.miss_patterns).toEqual({
      tree: expect.any(Number),
      report: expect.any(Number),
    });
    expect(await stack.redis.keys("*tree:*")).toHaveLength(trouble.stack.roots);
  });
});
