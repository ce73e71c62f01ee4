/** A version that fails is noticed and rolled back once two people agree; with the cache away nobody is asked to. */

import { mailsTo, pages } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["high-error-rate"];

stackServices.describe("high-error-rate", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "high-error-rate", ...trouble.stack });
  });
  afterAll(() => stack?.stop());

  test("errors are grouped, two people agree, the code goes back, and requests succeed", async () => {
    expect((await stack.get("/tickets/")).status).toBe(500);
    await trouble.cause(stack);
    const run = await stack.noticed("HighErrorRate");
    await stack.approve(run, trouble.people);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("fixed");
    expect(resultOf(ended, "measured").body.errors).toEqual({ AttributeError: expect.any(Number) });
    expect(resultOf(ended, "logs").total).toBeGreaterThan(10);
    expect(resultOf(ended, "rollback")).toMatchObject({ tag: "v1" });
    expect((await stack.get("/tickets/")).status).toBe(200);
    // In #ops and on the status page before the change; PagerDuty and support at once.
    const at = (type: string) => ended.events.findIndex((event) => event.type === type);
    expect(at("announcing")).toBeGreaterThan(0);
    expect(at("announcing")).toBeLessThan(at("step-started"));
    expect(stack.statusPage.entries).toHaveLength(1);
    await until(() => pages(stack.callers).length > 0, { what: "PagerDuty to be told" });
    await until(() => mailsTo(stack.callers, "monitoring-alerts@youtility.com").length > 0, { what: "a mail" });
  });
});
