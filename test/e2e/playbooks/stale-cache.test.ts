/** Cached trees that are no longer true are noticed and deleted; emptying everything is asked first. */

import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { fillCaches, troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

stackServices.describe("stale-cache", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "stale-cache", ...troubles["stale-cache"].stack });
  });
  afterAll(() => stack?.stop());

  const cached = async (prefix: string) => (await stack.redis.keys(`*:${prefix}:*`)).length;

  test("trees that the database has changed behind the cache are deleted; reports stay", async () => {
    const { root } = await troubles["stale-cache"].cause(stack);
    expect(JSON.stringify((await stack.get(`/tree/${root}/`)).body)).not.toContain("moved");
    const ended = await stack.ended(await stack.noticed("CacheInvalidationFailing"));
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect([await cached("tree"), await cached("report")]).toEqual([0, 5]);
    expect(JSON.stringify((await stack.get(`/tree/${root}/`)).body)).toContain("moved");
  });

  test("everything is emptied once somebody agrees, and nothing where they decline", async () => {
    await fillCaches(stack);
    const declined = await stack.request({ everything: true });
    await stack.decline(declined);
    expect(await stack.ended(declined)).toMatchObject({ outcome: "declined" });
    expect(await cached("report")).toBe(5);
    const approved = await stack.request({ everything: true });
    await stack.approve(approved);
    expect(await stack.ended(approved)).toMatchObject({ outcome: "fixed" });
    expect([await cached("tree"), await cached("report")]).toEqual([0, 0]);
  });
});
