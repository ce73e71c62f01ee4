/** A slow page is noticed, cached for longer for two hours, and fast after a restart that somebody has agreed to; what that does not help is handed over. */

import { pages } from "../../support/callers.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack, type Visit } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(240_000);

const unit = "youtility3.service";
const trouble = troubles["high-response-time"];
const support = "monitoring-alerts@youtility.com";

stackServices.describe("high-response-time", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      playbook: "high-response-time",
      // A restart must not look like a recovery: what was slow before is still counted when the application is back.
      env: { ...trouble.stack.env, METRICS_WINDOW_MINUTES: "0.2" },
      hurry: [...trouble.stack.hurry, ["within: 30s", "within: 20s"]],
    });
  });
  afterAll(() => stack?.stop());

  const started = () => stack.systemd.show(unit, "InvocationID");
  const variables = () => stack.systemd.show(unit, "Environment");

  async function putBack(run: string): Promise<void> {
    const { body } = await stack.service.api("GET", "/api/v1/mitigations");
    const mitigation = body.mitigations.find(({ runId }: { runId: string }) => runId === run);
    expect(mitigation).toMatchObject({ state: "in-force" });
    const path = `/api/v1/mitigations/${mitigation.id}/revert`;
    expect((await stack.service.api("POST", path, { reason: "a test" })).status).toBe(200);
    await notLeft();
  }

  const notLeft = () =>
    until(async () => !(await variables()).includes("CACHE_TIMEOUT=7200"), {
      timeoutMs: 30_000,
      what: "the unit's own CACHE_TIMEOUT for the next start",
    });

  test("answers are kept for longer, until the mitigation is put back; below 2 s nobody is paged", async () => {
    const people = await trouble.cause(stack);
    const run = await stack.noticed("HighResponseTime");
    const { text } = await stack.asked(run);
    expect(text).toMatch(/^Approve restart on youtility3\?\nHighResponseTime, warning, /);
    expect(text).toMatch(/\n• 95 % of \d+ responses take up to 1\d{3} ms, 95 % of queries up to 1\d{3} ms\n/);
    expect(text).toContain("• the application's slowest query took 1");
    expect(text).toMatch(/\n• 0 % of lookups in the cache hit: 0 hits, \d+ misses\n• slowest endpoint: \/summary\/, /);
    expect(text).toMatch(/\n• \d+ queries run, the longest for \d+ s; 0 sessions wait for a lock; /);
    expect(text).toContain("• restart youtility3.service (active (running)");
    await stack.approve(run);
    expect(await stack.ended(run)).toMatchObject({ outcome: "fixed" });
    expect(await variables()).toContain("CACHE_TIMEOUT=7200");
    expect((await stack.get("/summary/")).status).toBe(200);
    await people.stop();
    await putBack(run);
    await stack.calm();
    await stack.mailed(run, support, "HighResponseTime (warning) recovered");
    expect(pages(stack.callers)).toEqual([]);
  });

  test("it is over while somebody is asked: the question is withdrawn, and nothing is restarted", async () => {
    const before = await started();
    const people = stack.visit(["/slow/?seconds=1.2"]);
    const run = await stack.noticed("HighResponseTime");
    await stack.asked(run);
    await people.stop();
    const quick = stack.visit(["/search/"]);
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "fixed", approvals: [{ state: "voided" }] });
    await stack.says(run, "an answer does not count any more");
    expect(await started()).toBe(before);
    await putBack(run);
    await stack.calm();
    await quick.stop();
  });

  test("nobody asks for a page any more: that is no recovery, and support is told so", async () => {
    const people = stack.visit(["/slow/?seconds=1.2"]);
    const run = await stack.noticed("HighResponseTime");
    await stack.asked(run);
    await people.stop();
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("ineffective");
    expect(ended.reason).toMatch(/ did not hold within 20s \(nobody has asked for a page since\)$/);
    await stack.mailed(run, support, "nobody has asked for a page since");
    await putBack(run);
    await stack.calm();
  });

  test("somebody declines: nothing is restarted, nothing is left for the next start, and nobody else is called", async () => {
    const before = await started();
    const people = stack.visit(["/slow/?seconds=1.2"]);
    const run = await stack.noticed("HighResponseTime");
    await stack.decline(run);
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "declined", reason: "declined by slack:U0LEAD: not now" });
    expect(ended.events.map(({ type }) => type)).not.toContain("escalated");
    await stack.says(run, "*Declined* by <@U0LEAD>");
    expect(await started()).toBe(before);
    expect(pages(stack.callers)).toEqual([]);
    await people.stop();
    await notLeft();
    await stack.calm();
  });

  test("above 2 s somebody is paged; a restart that does not help is handed over with what was measured", async () => {
    const before = await started();
    const people = stack.visit(["/slow/?seconds=2.2"]);
    const run = await stack.noticed("HighResponseTime");
    const paged = () => pages(stack.callers).map(({ body }) => body as { payload?: { custom_details: object } });
    await until(() => paged().length > 0, { timeoutMs: 30_000, what: "PagerDuty to be told" });
    expect(paged()[0]?.payload?.custom_details).toMatchObject({ run, found: [expect.stringContaining(" up to 2")] });
    await stack.approve(run);
    const ended = await stack.ended(run);
    expect(ended.outcome).toBe("ineffective");
    expect(ended.reason).toMatch(/did not hold within 20s \(95 % of responses take up to 2\d{3} ms\)$/);
    expect(await started()).not.toBe(before);
    await stack.says(run, "Needs you: high-response-time on youtility3");
    await stack.mailed(run, support, "95 % of responses take up to 2");
    await stack.mailed(run, support, "hands it over to you");
    await people.stop();
    await putBack(run);
    await stack.calm();
  });

  test("an alert that comes too late: measured again, and nothing is changed", async () => {
    const before = await started();
    const ended = await stack.late("HighResponseTime", ["/search/"]);
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    expect(resultOf(ended, "measured").body.requests).toBeGreaterThan(0);
    expect(ended.steps.filter(({ state }) => state === "skipped").map(({ id }) => id)).toEqual(["timeout", "restart"]);
    await stack.says(ended.id, "Nothing to do: HighResponseTime on youtility3");
    expect([await started(), (await variables()).includes("7200")]).toEqual([before, false]);
  });

  test("a trouble that is over before Paramedic gets to it: nothing is changed, and nobody is asked", async () => {
    const before = await started();
    let quick: Visit | undefined;
    const ended = await stack.gone("HighResponseTime", async () => {
      const people = stack.visit(["/slow/?seconds=1.2"]);
      return async () => {
        await people.stop();
        quick = stack.visit(["/search/"]);
      };
    });
    await quick?.stop();
    expect(["resolved", "nothing-to-do"]).toContain(ended.outcome);
    expect(ended.approvals).toEqual([]);
    expect(ended.events.map(({ type }) => type)).not.toContain("step-started");
    expect([await started(), (await variables()).includes("7200")]).toEqual([before, false]);
  });
});
