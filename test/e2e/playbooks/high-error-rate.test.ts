/** A version that fails is noticed and rolled back once two people agree; with the cache away nobody is asked to, and those who can mend it are told. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { createRepository } from "../../actions/deploy/repository.ts";
import { mailsTo, pages } from "../../support/callers.ts";
import { startRedis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";
import { troubles } from "../../support/youtility3-troubles.ts";

jest.setTimeout(180_000);

const trouble = troubles["high-error-rate"];
const support = "monitoring-alerts@youtility.com";
const infrastructure = "infra@youtility.com";

stackServices.describe("high-error-rate", () => {
  let metrics: Awaited<ReturnType<typeof startRedis>>;
  let stack: Stack;
  beforeAll(async () => {
    metrics = await startRedis();
    stack = await startStack({
      playbook: "high-error-rate",
      ...trouble.stack,
      // The application counts its errors even where its cache is away.
      env: { YT3_METRICS_REDIS_URL: `${metrics.url}/0` },
      hurry: [
        // That every version is started is no crash loop, whose alert would keep this one back.
        ["[10m]) > 2", "[10m]) > 100"],
        ["expect: output.works\n", "expect: output.works\n    within: 5s\n"],
        ["within: 30s", "within: 12s"],
      ],
    });
  });
  afterAll(async () => {
    await stack?.stop();
    await metrics?.stop();
  });

  const tag = async () => (await createRepository(stack.yt3.folder)).git("describe", "--tags", "--always");
  /** A page that both versions can show. */
  const tree = async () => {
    const [root] = await stack.sql("SELECT min(parent_id)::int AS id FROM core_location");
    return `/tree/${root?.["id"]}/`;
  };
  /** Puts another version in the place of what is served. */
  async function deploy(version: string, file: string, text: (now: string) => string): Promise<void> {
    const path = join(stack.yt3.folder, file);
    const changed = text(await readFile(path, "utf8"));
    await (await createRepository(stack.yt3.folder)).commit(`the version ${version}`, { [file]: changed }, version);
    await stack.systemd.systemctl("restart", "--no-block", "youtility3.service");
  }
  const pagedFor = (run: string) => pages(stack.callers).filter(({ body }) => JSON.stringify(body).includes(run));

  test("an alert that comes too late: measured again, and nobody is asked for anything", async () => {
    const ended = await stack.late("HighErrorRate", [await tree()]);
    expect(ended).toMatchObject({ outcome: "nothing-to-do", approvals: [] });
    expect(resultOf(ended, "measured").body.requests).toBeGreaterThanOrEqual(20);
    await stack.says(ended.id, "• 0 % of ");
    await stack.says(ended.id, "Nothing to do: HighErrorRate on youtility3");
    expect(await tag()).toBe("v2");
  });

  test("with the cache away no rollback is asked for: support and infrastructure are told what the cause is", async () => {
    await stack.redis.flushdb();
    await stack.redis.config("SET", "maxmemory", "1");
    const people = stack.visit([await tree()]);
    const run = await stack.noticed("HighErrorRate");
    const ended = await stack.ended(run);
    await people.stop();
    await stack.redis.config("SET", "maxmemory", "0");
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [] });
    expect(ended.reason).toContain("(the cache does not keep what it is given: OOM)");
    expect(ended.steps.find(({ id }) => id === "rollback")?.state).toBe("skipped");
    expect(await tag()).toBe("v2");
    await stack.says(run, "Likely cause: the cache");
    await stack.says(run, "Needs you: high-error-rate on youtility3");
    await stack.mailed(run, infrastructure, "HighErrorRate (critical) firing");
    await stack.mailed(run, support, "Likely cause: the cache");
    await until(() => pagedFor(run).length > 0, { timeoutMs: 30_000, what: "PagerDuty to be told" });
    await stack.calm();
  });

  test("nobody asks for a page any more: that is no recovery, and support is told so", async () => {
    await stack.quiet();
    const { run, resolve } = await stack.posted("HighErrorRate");
    const ended = await stack.ended(run);
    await resolve();
    expect(ended).toMatchObject({
      outcome: "ineffective",
      reason: expect.stringMatching(/ did not hold within 12s \(nobody has asked for a page since\)$/),
      approvals: [],
    });
    await stack.says(run, "• no request was measured: nobody has asked for a page lately");
  });

  test("of two who are asked one declines: the code stays, and the question says what was found", async () => {
    const people = await trouble.cause(stack);
    const run = await stack.noticed("HighErrorRate");
    const { text } = await stack.asked(run);
    expect(text).toMatch(/^Approve rollback on youtility3\?\nHighErrorRate, critical, /);
    expect(text).toContain("\n• the cache keeps what it is given\n");
    expect(text).toMatch(/\n• \d+ % of \d+ requests fail, most of them by AttributeError\n/);
    expect(text).toMatch(
      /\n• \d+ errors in the logs of 10 minutes: ERROR \d+, (\w+ \d+, )*AttributeError \d+; the newest: /,
    );
    expect(text).toContain("Likely cause: the code, since cache and database answer\n");
    expect(text).toContain("*Risk: it cannot be undone.*");
    expect(text).toContain("Needs 2 approvals by different people.");
    expect(text).toContain("• check out v1 (");
    await stack.approve(run, ["U0LEAD"]);
    await stack.decline(run, "U0DEPUTY");
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "declined", reason: "declined by slack:U0DEPUTY: not now" });
    await people.stop();
    await stack.says(run, "*Declined* by <@U0DEPUTY>");
    expect(await tag()).toBe("v2");
    expect(stack.statusPage.entries).toEqual([]);
    expect(mailsTo(stack.callers, infrastructure).some((mail) => mail.includes(run))).toBe(false);
    await stack.calm();
  });

  test("two people agree, the code goes back, and requests succeed", async () => {
    expect((await stack.get("/tickets/")).status).toBe(500);
    const people = await trouble.cause(stack);
    const run = await stack.noticed("HighErrorRate");
    await stack.approve(run, trouble.people);
    const ended = await stack.ended(run);
    await people.stop();
    expect(ended.outcome).toBe("fixed");
    expect(resultOf(ended, "measured").body.errors).toEqual({ AttributeError: expect.any(Number) });
    expect(resultOf(ended, "logs").total).toBeGreaterThan(10);
    expect(resultOf(ended, "rollback")).toMatchObject({ tag: "v1" });
    expect(await tag()).toBe("v1");
    expect((await stack.get("/tickets/")).status).toBe(200);
    // In #ops and on the status page before the change; PagerDuty and support at once.
    const at = (type: string) => ended.events.findIndex((event) => event.type === type);
    expect(at("announcing")).toBeGreaterThan(0);
    expect(at("announcing")).toBeLessThan(at("step-started"));
    expect(stack.statusPage.entries).toHaveLength(1);
    await until(() => pagedFor(run).length > 0, { timeoutMs: 30_000, what: "PagerDuty to be told" });
    await stack.mailed(run, support, "HighErrorRate (critical) firing");
    await stack.calm();
  });

  test("ten thousand errors are not too many to ask; an older version that fails as well is handed over", async () => {
    const fails = (now: string) => now.replace("QueryRepository.open_tickets()", "QueryRepository.tickets_of_today()");
    await deploy("v3", "apps/core/views.py", fails);
    await deploy("v4", "README.md", (now) => `${now}\n`);
    const people = await trouble.cause(stack);
    await floodWithErrors(metrics.url, 10_000);
    const run = await stack.noticed("HighErrorRate");
    await stack.approve(run, trouble.people);
    const ended = await stack.ended(run);
    await people.stop();
    expect(resultOf(ended, "measured").body.errors).toEqual({
      KeyError: 10_000,
      AttributeError: expect.any(Number),
    });
    expect(resultOf(ended, "rollback")).toMatchObject({ tag: "v3" });
    expect(ended).toMatchObject({ outcome: "ineffective", approvals: [{ state: "approved" }] });
    expect(ended.reason).toMatch(/ did not hold within 12s \(\d+ % of \d+ requests fail\)$/);
    await stack.mailed(run, support, "hands it over to you");
    await stack.calm();
  });

  test("a version that cannot even be imported: nothing can be measured, and a rollback is asked for", async () => {
    await deploy("v5", "apps/core/queries.py", (now) => `import a_module_that_nobody_has\n${now}`);
    const people = stack.visit([await tree()]);
    await until(() => stack.answers(false), {
      timeoutMs: 30_000,
      what: "Prometheus to see that nothing answers",
    });
    const { run, resolve } = await stack.posted("HighErrorRate");
    const { text } = await stack.asked(run);
    expect(text).toContain("\n• the application does not even tell Prometheus how it is\n");
    expect(text).toContain("Likely cause: the code, since cache and database answer\n");
    await stack.approve(run, trouble.people);
    const ended = await stack.ended(run);
    await resolve();
    await people.stop();
    expect(ended).toMatchObject({ outcome: "fixed", reason: expect.stringContaining("every check") });
    expect((await stack.get(await tree())).status).toBe(200);
    await stack.calm();
  });

  test("with a cache that cannot be reached no rollback is asked for, and infrastructure is told what the cause is", async () => {
    await stack.stopRedis();
    const people = stack.visit([await tree()]);
    const run = await stack.noticed("HighErrorRate");
    const ended = await stack.ended(run);
    await people.stop();
    expect(ended).toMatchObject({
      outcome: "ineffective",
      reason: expect.stringMatching(/\(the cache cannot be reached: Redis of .* refused the connection/),
      approvals: [],
    });
    await stack.says(run, "Likely cause: the cache");
    await stack.mailed(run, infrastructure, "HighErrorRate (critical) firing");
    await stack.mailed(run, support, "the cache cannot be reached");
  });
});

/** So many requests that failed a moment ago, as the application records them. */
async function floodWithErrors(metricsUrl: string, count: number): Promise<void> {
  const redis = new Redis(metricsUrl);
  const recorded = (fields: object) =>
    Array.from({ length: count }, (_, index) => [
      Date.now() / 1_000 + 3,
      JSON.stringify({ id: `flood-${index}`, path: "/tickets/of/somebody/with/a/long/name/", status: 500, ...fields }),
    ]).flat();
  await redis.zadd("metrics:errors", ...recorded({ type: "KeyError" }));
  await redis.zadd("metrics:requests", ...recorded({ ms: 12.5 }));
  redis.disconnect();
}
