/** A version that fails is noticed and rolled back once two people agree; with the cache away nobody is asked to. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createRepository } from "../../actions/deploy/repository.ts";
import { mailsTo, pages } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

stackServices.describe("high-error-rate", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "high-error-rate",
      prepare: async ({ folder }) => {
        const repository = await createRepository(folder);
        await repository.commit("the version that works", {}, "v1");
        const views = await readFile(join(folder, "apps/core/views.py"), "utf8");
        const broken = views.replace("QueryRepository.open_tickets()", "QueryRepository.tickets_that_are_open()");
        await repository.commit("the version that fails", { "apps/core/views.py": broken }, "v2");
      },
    });
  });
  afterAll(() => stack?.stop());

  test("errors are grouped, two people agree, the code goes back, and requests succeed", async () => {
    expect((await stack.get("/tickets/")).status).toBe(500);
    stack.visit(["/tickets/", "/tickets/", "/monitoring/health/"]);
    const run = await stack.noticed("HighErrorRate");
    await stack.approve(run, ["U0LEAD", "U0DEPUTY"]);
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
