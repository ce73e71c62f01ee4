/** A slow page is noticed, cached for longer for two hours, and fast after a restart that somebody has agreed to. */

import { pages } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const unit = "youtility3.service";
const trouble = troubles["high-response-time"];

stackServices.describe("high-response-time", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "high-response-time", ...trouble.stack });
  });
  afterAll(() => stack?.stop());

  test("answers are kept for longer, until the mitigation is put back; below 2 s nobody is paged", async () => {
    await trouble.cause(stack);
    const run = await stack.noticed("HighResponseTime");
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("fixed");
    expect(await stack.systemd.show(unit, "Environment")).toContain("CACHE_TIMEOUT=7200");
    expect(pages(stack.callers)).toEqual([]);
    const { body } = await stack.service.api("GET", "/api/v1/mitigations");
    const [mitigation] = body.mitigations;
    expect(mitigation).toMatchObject({ runId: run, state: "in-force" });
    const path = `/api/v1/mitigations/${mitigation.id}/revert`;
    expect((await stack.service.api("POST", path, { reason: "a test" })).status).toBe(200);
    await until(async () => !(await stack.systemd.show(unit, "Environment")).includes("CACHE_TIMEOUT=7200"), {
      timeoutMs: 30_000,
      what: "the unit's own CACHE_TIMEOUT for the next start",
    });
  });
});
