/** What engineers start that alerts start as well: stale-cache and performance-degradation, as they are asked for and answered. */

import { tokens } from "../../support/service.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

stackServices.describe("by request", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "stale-cache",
      others: ["performance-degradation"],
      // Bloat of a size that a test can make.
      hurry: [["deadRows > 10000", "deadRows > 5000"]],
    });
    await stack.sql("ALTER TABLE core_ticket SET (autovacuum_enabled = off)");
  });
  afterAll(() => stack?.stop());

  const cached = async (prefix: string) => (await stack.redis.keys(`*:${prefix}:*`)).length;

  async function look(): Promise<void> {
    const roots = await stack.sql("SELECT id FROM core_location WHERE parent_id IS NULL");
    for (const { id } of roots) for (const page of ["tree", "report"]) await stack.get(`/${page}/${id}/`);
  }

  describe("stale-cache", () => {
    test("the keys of one configured pattern are deleted, and nobody is asked", async () => {
      await look();
      const ended = await stack.ended(await stack.request({ pattern: "*report:*" }));
      expect(ended).toMatchObject({ outcome: "fixed", approvals: [], trigger: { kind: "request" } });
      expect([await cached("tree"), await cached("report")]).toEqual([5, 0]);
      expect(stack.statusPage.entries).toHaveLength(1);
    });

    test.each(["*", "*:1:tree:1", "session:*"])(
      "a pattern that is not configured, '%s', deletes nothing, and that is said",
      async (pattern) => {
        await look();
        const ended = await stack.ended(await stack.request({ pattern }));
        expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringMatching(/keyPatterns|literal text/) });
        expect([await cached("tree"), await cached("report")]).toEqual([5, 5]);
      },
    );

    test("an input of another type, or of another name, starts nothing", async () => {
      for (const inputs of [{ everything: "yes" }, { patern: "*tree:*" }]) {
        const body = { playbook: "stale-cache", target: "youtility3", inputs, reason: "a test" };
        expect((await stack.service.api("POST", "/api/v1/runs", body, tokens.operator)).status).toBe(422);
      }
    });

    test("whoever asks for everything to be emptied does not approve it", async () => {
      await look();
      const body = { playbook: "stale-cache", target: "youtility3", inputs: { everything: true }, reason: "a test" };
      const { body: made } = await stack.service.api("POST", "/api/v1/runs", body, tokens.approver);
      const approval = await until(async () => (await stack.service.run(made.id)).approvals[0], {
        what: "the question",
      });
      const answer = { decision: "approve", digest: approval.digest };
      const path = `/api/v1/approvals/${approval.id}`;
      expect((await stack.service.api("POST", path, answer, tokens.approver)).status).toBe(403);
      expect(await cached("tree")).toBe(5);
      await stack.decline(made.id);
      expect(await stack.ended(made.id)).toMatchObject({ outcome: "declined" });
    });
  });

  describe("performance-degradation", () => {
    const request = () => stack.request({}, "performance-degradation");
    const counted = (column: string, least: number) =>
      until(
        () =>
          stack
            .sql(`SELECT FROM pg_stat_all_tables WHERE relname = 'core_ticket' AND ${column} > $1`, [least])
            .then(({ length }) => length > 0),
        { what: "what was changed to be counted" },
      );

    test("where nothing is bloated the statistics are renewed, nobody is asked, and both sizes stand in the story", async () => {
      await stack.sql("UPDATE core_ticket SET priority = 2");
      await counted("n_mod_since_analyze", 50);
      const people = stack.visit(["/search/"]);
      const ended = await stack.ended(await request());
      await people.stop();
      expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
      expect(resultOf(ended, "before").tables.length).toBe(resultOf(ended, "after").tables.length);
      expect(ended.steps.find(({ id }) => id === "reindex")?.state).toBe("skipped");
    });

    test("where the rebuild is declined no index is touched; the cleaning before it stays done", async () => {
      await stack.sql(
        `INSERT INTO core_ticket (location_id, title, status, priority, opened_at)
         SELECT (SELECT max(id) FROM core_location), 'ticket ' || n, 'open', 1, now() FROM generate_series(1, 20000) n`,
      );
      await stack.sql("DELETE FROM core_ticket WHERE id % 10 > 0");
      await counted("n_dead_tup", 15_000);
      const files = () =>
        stack.sql(
          "SELECT indexrelid::regclass::text AS index, pg_relation_filenode(indexrelid) AS file FROM pg_index WHERE indrelid = 'core_ticket'::regclass ORDER BY 1",
        );
      const before = await files();
      const run = await request();
      await stack.decline(run);
      const ended = await stack.ended(run);
      expect(ended).toMatchObject({ outcome: "declined" });
      expect(await files()).toEqual(before);
      expect(ended.steps.find(({ id }) => id === "vacuum")?.state).toBe("done");
    });
  });
});
