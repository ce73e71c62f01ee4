/** A metrics store that has grown is cleaned and kept smaller for a day; where that does not help, people decide. */

import { pages } from "../../support/callers.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { forgetMetrics, growMetrics, troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const unit = "youtility3.service";
const support = "monitoring-alerts@youtility.com";

stackServices.describe("memory-growth", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "memory-growth",
      ...troubles["memory-growth"].stack,
      hurry: [
        ["within: 30s", "within: 5s"],
        // Less than the machine has.
        ["1500000000", "300000000"],
        ["1.5e9", "3e8"],
      ],
    });
  });
  afterAll(() => stack?.stop());

  const held = async () => (await stack.get("/monitoring/dashboard/")).body.metrics_bytes as number;
  const resident = async () => (await stack.get("/monitoring/dashboard/")).body.resident_bytes as number;
  const retention = async () => (await stack.get("/monitoring/dashboard/")).body.metrics_retention_hours as number;
  const started = () => stack.systemd.show(unit, "InvocationID");

  test("an alert that comes too late: measured again, and nothing is changed", async () => {
    const before = await started();
    const ended = await stack.late("MemoryGrowing");
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    expect(ended.steps.filter(({ state }) => state !== "observed").map(({ id, state }) => [id, state])).toEqual([
      ["retention", "skipped"],
      ["clean", "skipped"],
      ["restart", "skipped"],
    ]);
    await stack.says(ended.id, "Nothing to do: MemoryGrowing on youtility3");
    await stack.says(ended.id, "• the metrics take 0 MB, the application ");
    expect(await started()).toBe(before);
    expect(await stack.systemd.show(unit, "Environment")).not.toContain("METRICS_RETENTION_HOURS");
  });

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
    expect(await retention()).toBe(24);
    const { body } = await stack.service.api("GET", "/api/v1/mitigations");
    expect(body.mitigations).toMatchObject([{ runId: ended.id, state: "in-force" }]);
    await stack.says(ended.id, "• after old metrics were removed, they take 0 MB");
    await stack.calm();
  });

  test("much is removed and too many new ones are left: no restart makes fewer of them, so nobody is asked, and people are told", async () => {
    const before = await started();
    // Nothing is measured before all of them are there.
    await stack.service.pause(true);
    await growMetrics(stack, 7);
    await growMetrics(stack, 1);
    const grown = await held();
    await stack.service.pause(false);
    const run = await stack.noticed("MemoryGrowing");
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.steps.find(({ id }) => id === "restart")?.state).toBe("skipped");
    expect(await held()).toBeGreaterThan(32e6);
    expect(await held()).toBeLessThan(0.9 * grown);
    expect(await started()).toBe(before);
    await stack.mailed(run, support, "hands it over to you");
    await forgetMetrics(stack);
    await stack.calm();
  });

  test("the application itself hoards memory: a restart that was approved heals it, and from then on fewer metrics are kept", async () => {
    const before = await started();
    await stack.get("/hoard/?mb=400");
    expect(await resident()).toBeGreaterThan(3e8);
    expect(await held()).toBeLessThan(1e6);
    expect(await retention()).toBe(24);
    const run = await stack.noticed("MemoryGrowing");
    const { text } = await stack.asked(run);
    expect(text).toMatch(/^Approve restart on youtility3\?\n/);
    expect(text).toMatch(/\n• after old metrics were removed, they take 0 MB, the application 4\d\d MB\n/);
    expect(await started()).toBe(before);
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "fixed", reason: "verified: every check of the playbook holds" });
    expect(ended.steps.find(({ id }) => id === "restart")?.state).toBe("done");
    expect(await started()).not.toBe(before);
    expect(await resident()).toBeLessThan(2e8);
    expect(await retention()).toBe(6);
    await stack.calm();
  });

  test("metrics that are too new to be removed: somebody declines the restart, and the metrics stay", async () => {
    const before = await started();
    await growMetrics(stack, 1);
    const run = await stack.noticed("MemoryGrowing");
    const { text } = await stack.asked(run);
    expect(text).toMatch(/\n• the metrics take \d\d MB, the application \d+ MB\n• Redis takes \d+ MB for \d+ keys\n/);
    expect(text).toMatch(/\n• after old metrics were removed, they take \d\d MB, /);
    await stack.decline(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("declined");
    expect(ended.events.map(({ type }) => type)).not.toContain("escalated");
    await stack.says(run, "*Declined* by <@U0LEAD>");
    expect(await started()).toBe(before);
    expect(await held()).toBeGreaterThan(32e6);
    await forgetMetrics(stack);
    await stack.calm();
  });

  test("a restart that was approved and does not help: support is told with what was measured", async () => {
    const before = await started();
    await growMetrics(stack, 1);
    const run = await stack.noticed("MemoryGrowing");
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("ineffective");
    expect(ended.reason).toMatch(/\(the metrics take \d\d MB, the application \d+ MB\)$/);
    expect(await started()).not.toBe(before);
    await stack.says(run, "Needs you: memory-growth on youtility3");
    await stack.mailed(run, support, "hands it over to you");
    expect(pages(stack.callers)).toEqual([]);
  });
});
