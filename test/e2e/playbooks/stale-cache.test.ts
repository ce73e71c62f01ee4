/** Cached trees that are no longer true are noticed and deleted; emptying everything is asked first. */

import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

stackServices.describe("stale-cache", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "stale-cache" });
  });
  afterAll(() => stack?.stop());

  const cached = async (prefix: string) => (await stack.redis.keys(`*:${prefix}:*`)).length;
  async function look(): Promise<void> {
    const roots = await stack.sql("SELECT id FROM core_location WHERE parent_id IS NULL");
    for (const { id } of roots) for (const page of ["tree", "report"]) await stack.get(`/${page}/${id}/`);
  }

  test("trees that the database has changed behind the cache are deleted; reports stay", async () => {
    await look();
    const [root] = await stack.sql("SELECT min(parent_id)::int AS id FROM core_location");
    await stack.sql("UPDATE core_location SET name = 'moved' WHERE parent_id = $1", [root?.["id"]]);
    expect(JSON.stringify((await stack.get(`/tree/${root?.["id"]}/`)).body)).not.toContain("moved");
    const ended = await stack.ended(await stack.noticed("CacheInvalidationFailing"));
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect([await cached("tree"), await cached("report")]).toEqual([0, 5]);
    expect(JSON.stringify((await stack.get(`/tree/${root?.["id"]}/`)).body)).toContain("moved");
  });

  test("everything is emptied once somebody agrees, and nothing where they decline", async () => {
    await look();
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
