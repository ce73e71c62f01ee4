/** A metrics store that has grown is cleaned and kept smaller for a day; where that does not help, people decide. */

import { mailsTo } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

const unit = "youtility3.service";

stackServices.describe("memory-growth", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "memory-growth" });
  });
  afterAll(() => stack?.stop());

  /** About 60 MB of metrics that are so old. */
  async function grow(hours: number): Promise<void> {
    const { db = 0 } = stack.redis.options;
    await stack.redis.select(1);
    for (let batch = 0; batch < 50; batch += 1) {
      const members = Array.from({ length: 5_000 }, (_, index) => [
        Date.now() / 1_000 - hours * 3_600 - index / 1_000,
        `{"id": "${hours}-${batch}-${index}", "path": "${"/old".repeat(20)}/", "ms": 12.5, "status": 200}`,
      ]);
      await stack.redis.zadd("metrics:requests", ...members.flat());
    }
    await stack.redis.select(db);
  }

  const held = async () => (await stack.get("/monitoring/dashboard/")).body.metrics_bytes as number;

  test("old metrics are removed, and fewer are kept from the next start on, without anybody being asked", async () => {
    await grow(7);
    expect(await held()).toBeGreaterThan(32e6);
    const ended = await stack.ended(await stack.noticed("MemoryGrowing"));
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [] });
    expect(ended.steps.map(({ id, state }) => [id, state])).toEqual([
      ["before", "observed"],
      ["redis", "observed"],
      ["retention", "done"],
      ["clean", "done"],
      ["after", "observed"],
      ["restart", "skipped"],
    ]);
    expect(await held()).toBeLessThan(1e6);
    expect(await stack.systemd.show(unit, "Environment")).toContain("METRICS_RETENTION_HOURS=6");
    const { body } = await stack.service.api("GET", "/api/v1/mitigations");
    expect(body.mitigations).toMatchObject([{ runId: ended.id, state: "in-force" }]);
  });

  test("metrics that are too new to be removed: a restart that was approved does not help, and support is told", async () => {
    await stack.ended(await stack.noticed("MemoryGrowing"));
    const before = await stack.systemd.show(unit, "InvocationID");
    await grow(1);
    const run = await until(
      async () =>
        (await stack.service.api("GET", "/api/v1/approvals?state=pending")).body.approvals[0]?.runId as string,
      { timeoutMs: 60_000, what: "a run that asks" },
    );
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("ineffective");
    expect(await stack.systemd.show(unit, "InvocationID")).not.toBe(before);
    await until(() => mailsTo(stack.callers, "monitoring-alerts@youtility.com").some((mail) => mail.includes(run)), {
      what: "a mail to support",
    });
  });
});
