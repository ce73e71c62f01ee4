/** A cold cache is noticed, warmed, and its hit rate rises, with nobody touching anything; where people look for what nobody could have warmed, support is told. */

import { pages } from "../../support/callers.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["low-cache-hit-rate"];

stackServices.describe("low-cache-hit-rate", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "low-cache-hit-rate",
      ...trouble.stack,
      hurry: [["within: 30s", "within: 15s"]],
    });
  });
  afterAll(() => stack?.stop());

  const trees = async () => (await stack.redis.keys("*tree:*")).length;

  test("a cold cache is warmed, and pages that nobody has looked at yet are there at once", async () => {
    const { people, pages: paths } = await trouble.cause(stack);
    const run = await stack.noticed("LowCacheHitRate");
    const ended = await stack.ended(run);
    // Otherwise it is the people who have warmed it.
    expect(people.seen()).toBeLessThan(paths.length);
    await people.stop();
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect(resultOf(ended, "window").hitRate).toBeLessThan(0.5);
    expect(resultOf(ended, "misses").body.miss_patterns).toEqual({
      tree: expect.any(Number),
      report: expect.any(Number),
    });
    expect(await trees()).toBe(trouble.stack.roots);
    await stack.says(run, "Fixed: LowCacheHitRate on youtility3");
    await stack.says(run, " % of the application's lookups hit, most misses are of ");
    await stack.calm();
  });

  test("an alert that comes too late: measured again, and nothing is warmed", async () => {
    const [first, ...others] = await stack.sql("SELECT id FROM core_location WHERE parent_id IS NULL ORDER BY id");
    await stack.redis.del(`:1:tree:${first?.["id"]}`);
    const before = await trees();
    expect(before).toBe(trouble.stack.roots - 1);
    const ended = await stack.late(
      "LowCacheHitRate",
      others.map(({ id }) => `/tree/${id}/`),
    );
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    await stack.says(ended.id, "Nothing to do: LowCacheHitRate on youtility3");
    expect(resultOf(ended, "misses").body.hits).toBeGreaterThan(0);
    expect(await trees()).toBe(before);
  });

  test("people look for what nobody could have warmed: support is told what was measured", async () => {
    const people = stack.visit(
      Array.from({ length: 20_000 }, (_, index) => `/report/${1_000_000 + index}/`),
      5,
    );
    const run = await stack.noticed("LowCacheHitRate");
    const ended = await stack.ended(run);
    await people.stop();
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.steps.find(({ id }) => id === "warm")?.state).toBe("done");
    expect(ended.reason).toMatch(/did not hold within 15s \(\d+ % of the application's \d+ lookups hit\)$/);
    await stack.says(run, "Needs you: low-cache-hit-rate on youtility3");
    await stack.says(run, "most misses are of report");
    await stack.mailed(run, "monitoring-alerts@youtility.com", "hands it over to you");
    expect(pages(stack.callers)).toEqual([]);
    await stack.calm();
  });

  test("nobody looks anything up any more: that is no recovery, and support is told so", async () => {
    await stack.quiet();
    const { run } = await stack.posted("LowCacheHitRate");
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.reason).toMatch(/ did not hold within 15s \(nobody has asked for a page since\)$/);
    await stack.says(run, "the application has looked nothing up: nobody has asked for a page lately");
  });
});
