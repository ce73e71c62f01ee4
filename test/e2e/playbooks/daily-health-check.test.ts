/** The morning's look: by its schedule and silent where all is well, and told in Slack where something is not. */

import { mailsTo } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

stackServices.describe("daily-health-check", () => {
  let stack: Stack;
  beforeAll(async () => {
    // Every minute in place of every morning.
    stack = await startStack({ playbook: "daily-health-check", hurry: [["0 6 * * *", "* * * * *"]] });
  });
  afterAll(() => stack?.stop());

  const said = () =>
    stack.callers.slack.messages().flatMap(({ text }) => (text.startsWith("Daily check") ? [text] : []));

  test("by its schedule it looks at everything, and says nothing while all is well", async () => {
    const run = await until(async () => (await stack.service.api("GET", "/api/v1/runs")).body.runs[0]?.id, {
      timeoutMs: 75_000,
      what: () => `the scheduled run (${stack.service.child.output().slice(-2_000)})`,
    });
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "nothing-to-do", target: "youtility3", trigger: { kind: "schedule" } });
    expect(ended.steps.map(({ id, state }) => [id, state])).toEqual([
      ["dashboard", "observed"],
      ["alerts", "observed"],
      ["queries", "observed"],
      ["health", "observed"],
      ["say", "skipped"],
    ]);
    expect(resultOf(ended, "health").body).toMatchObject({ healthy: true, database: true, cache: true });
    expect(said()).toEqual([]);
    expect(stack.statusPage.entries).toEqual([]);
  });

  test("slow queries and failing pages are said in one message", async () => {
    const visits = stack.visit(["/slow/?seconds=0.3", "/broken/"]);
    await until(async () => (await stack.get("/monitoring/alerts/")).body.alerts.includes("HighErrorRate"));
    const ended = await stack.ended(await stack.request({}));
    await visits.stop();
    expect(ended.outcome).toBe("nothing-to-do");
    expect(said()).toEqual([expect.stringMatching(/alerts .*HighErrorRate/)]);
    expect(said()[0]).toMatch(/[1-9]\d* queries above 200 ms\.\sCache hit rate \d+ %, errors [1-9]\d %/);
  });

  test("an application that is not well hands the run over, with what was seen before", async () => {
    await stack.redis.config("SET", "maxmemory", "1");
    const ended = await stack.ended(await stack.request({}));
    await stack.redis.config("SET", "maxmemory", "0");
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining("503") });
    expect(resultOf(ended, "dashboard")).toBeDefined();
    await until(
      () => mailsTo(stack.callers, "monitoring-alerts@youtility.com").some((mail) => mail.includes(ended.id)),
      { what: "a mail to support" },
    );
  });
});
