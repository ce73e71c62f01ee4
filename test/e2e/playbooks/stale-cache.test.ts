/** Cached trees that are no longer true are noticed and deleted; emptying everything is asked first; a cache that takes nothing is handed over. */

import { pages } from "../../support/callers.ts";
import { sleep } from "../../support/until.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { changeBehindTheCache, fillCaches, troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

stackServices.describe("stale-cache", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "stale-cache",
      ...troubles["stale-cache"].stack,
      hurry: [
        ["expect: output.works\n", "expect: output.works\n    within: 5s\n"],
        ["within: 30s", "within: 10s"],
      ],
    });
  });
  afterAll(() => stack?.stop());

  const cached = async (prefix: string) => (await stack.redis.keys(`*:${prefix}:*`)).length;
  const forgetTrees = async () => stack.redis.del(...(await stack.redis.keys("*:tree:*")));
  const shownAt = async (path: string) => JSON.stringify((await stack.get(path)).body);

  test("an alert that comes too late: looked at again, and nothing is deleted", async () => {
    await fillCaches(stack);
    const ended = await stack.late("CacheInvalidationFailing", ["/search/"]);
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    await stack.says(ended.id, "Nothing to do: CacheInvalidationFailing on youtility3");
    await stack.says(ended.id, "• 0 entries of the cache are not as the database has them");
    expect([await cached("tree"), await cached("report")]).toEqual([5, 5]);
  });

  test("trees that the database has changed behind the cache are deleted; reports stay", async () => {
    const path = await changeBehindTheCache(stack, "moved");
    expect(await shownAt(path)).not.toContain("moved");
    const ended = await stack.ended(await stack.noticed("CacheInvalidationFailing"));
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect([await cached("tree"), await cached("report")]).toEqual([0, 5]);
    expect(await shownAt(path)).toContain("moved");
    await stack.says(ended.id, "• 1 entries of the cache are not as the database has them");
    await stack.calm();
  });

  test("everything is emptied once somebody agrees, and nothing where they decline", async () => {
    await fillCaches(stack);
    const declined = await stack.request({ everything: true });
    await stack.decline(declined);
    expect(await stack.ended(declined)).toMatchObject({ outcome: "declined" });
    await stack.says(declined, "*Declined* by <@U0LEAD>");
    expect([await cached("tree"), await cached("report")]).toEqual([5, 5]);
    const approved = await stack.request({ everything: true });
    const { text } = await stack.asked(approved);
    expect(text).toMatch(/^Approve everything on youtility3\?\nAsked for: a test\n/);
    expect(text).toContain("• empty the cache default (");
    await stack.approve(approved);
    expect(await stack.ended(approved)).toMatchObject({ outcome: "fixed" });
    expect([await cached("tree"), await cached("report")]).toEqual([0, 0]);
    await stack.calm();
  });

  test("a cache that takes nothing: nothing is deleted from it, and support and infrastructure are told", async () => {
    await fillCaches(stack);
    await stack.redis.config("SET", "maxmemory", "1");
    await changeBehindTheCache(stack, "moved once more");
    const run = await stack.noticed("CacheInvalidationFailing");
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.reason).toMatch(/\(the cache does not keep what it is given: OOM\)$/);
    expect([await cached("tree"), await cached("report")]).toEqual([5, 5]);
    await stack.says(run, "Needs you: stale-cache on youtility3");
    await stack.mailed(run, "infra@youtility.com", "the cache does not keep what it is given");
    await stack.mailed(run, "monitoring-alerts@youtility.com", "hands it over to you");
    expect(pages(stack.callers)).toEqual([]);
    await stack.redis.config("SET", "maxmemory", "0");
    await forgetTrees();
    await stack.calm();
  });

  test("a trouble that is over before Paramedic gets to it: nothing is deleted", async () => {
    await fillCaches(stack);
    const ended = await stack.gone("CacheInvalidationFailing", async () => {
      await changeBehindTheCache(stack, "moved and noticed");
      return async () => {
        await forgetTrees();
        await fillCaches(stack);
      };
    });
    expect(["resolved", "nothing-to-do"]).toContain(ended.outcome);
    expect(ended.events.map(({ type }) => type)).not.toContain("step-started");
    expect([await cached("tree"), await cached("report")]).toEqual([5, 5]);
    await stack.calm();
  });

  test("what is deleted is written stale again: support is told how much is", async () => {
    await fillCaches(stack);
    const path = await changeBehindTheCache(stack, "moved in vain");
    const key = `:1:${path.slice(1, -1).replace("/", ":")}`;
    const stale = (await stack.redis.getBuffer(key)) as Buffer;
    let over = false;
    const writing = (async () => {
      for (; !over; await sleep(1)) await stack.redis.set(key, stale);
    })();
    const run = await stack.noticed("CacheInvalidationFailing");
    const ended = await stack.ended(run);
    over = true;
    await writing;
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.steps.find(({ id }) => id === "pattern")?.state).toBe("done");
    expect(ended.reason).toMatch(/ did not hold within 10s \(1 entries are not as the database has them\)$/);
    await stack.mailed(run, "monitoring-alerts@youtility.com", "hands it over to you");
    await forgetTrees();
    await stack.calm();
  });

  test("an application that cannot count what is stale is no good sign after an alert", async () => {
    await stack.sql("ALTER TABLE core_location RENAME TO core_location_away");
    const { run, resolve } = await stack.posted("CacheInvalidationFailing");
    const ended = await stack.ended(run);
    await stack.sql("ALTER TABLE core_location_away RENAME TO core_location");
    await resolve();
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.reason).toMatch(/ \(the application does not say how many entries are stale\)$/);
    await stack.calm();
  });

  test("a cache that cannot be reached: it is named, and support and infrastructure are told", async () => {
    await stack.stopRedis();
    const run = await stack.request({});
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.reason).toMatch(/\(the cache cannot be reached: Redis of target youtility3 .* refused the connection/);
    await stack.says(run, "the cache cannot be reached");
    await stack.mailed(run, "infra@youtility.com", "the cache cannot be reached");
    await stack.mailed(run, "monitoring-alerts@youtility.com", "hands it over to you");
  });
});
