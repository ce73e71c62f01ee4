/** A metrics store that has grown is cleaned and kept smaller for a day; where that does not help, people decide. */

import { mailsTo } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { growMetrics, troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const unit = "youtility3.service";

stackServices.describe("memory-growth", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "memory-growth", ...troubles["memory-growth"].stack });
  });
  afterAll(() => stack?.stop());

  const held = async () => (await stack.get("/monitoring/dashboard/")).body.metrics_bytes as number;

  test("old metrics are removed, and fewer are kept from the next start on, without anybody being asked", async () => {
    await troubles["memory-growth"].cause(stack);
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
    await growMetrics(stack, 1);
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
