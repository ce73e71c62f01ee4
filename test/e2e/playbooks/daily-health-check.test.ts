/** The morning's look: by its schedule, reported by mail either way, and said in Slack where something is not well. */

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mailsTo } from "../../support/callers.ts";
import { isPlot, reportMail, reportsInSlack } from "../../support/report.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

const unit = "youtility3.service";

stackServices.describe("daily-health-check", () => {
  let stack: Stack;
  beforeAll(async () => {
    // Every minute in place of every morning.
    stack = await startStack({
      playbook: "daily-health-check",
      hurry: [
        ["0 6 * * *", "* * * * *"],
        ["within: 30s", "within: 5s"],
      ],
    });
  });
  afterAll(() => stack?.stop());

  test("by its schedule it looks at everything, reports by mail, and says nothing in Slack while all is well", async () => {
    const run = await until(async () => (await stack.service.api("GET", "/api/v1/runs")).body.runs[0]?.id, {
      timeoutMs: 75_000,
      what: () => `the scheduled run (${stack.service.child.output().slice(-2_000)})`,
    });
    const ended = await stack.ended(run);
    expect(ended).toMatchObject({ outcome: "nothing-to-do", target: "youtility3", trigger: { kind: "schedule" } });
    expect(ended.steps.map(({ id, state }) => [id, state])).toEqual([
      ["health", "observed"],
      ["dashboard", "observed"],
      ["alerts", "observed"],
      ["queries", "observed"],
      ["responses", "observed"],
      ["say", "done"],
    ]);
    expect(resultOf(ended, "health").body).toMatchObject({ healthy: true, database: true, cache: true });
    const mail = await reportMail(stack.callers, run);
    expect(mail.to).toEqual(["monitoring-alerts@youtility.com"]);
    expect(mail.subject).toMatch(/^Daily health check of youtility3, \d{4}-\d\d-\d\d$/);
    expect(mail.text).toMatch(/ \* No alert is active\.\n/);
    expect(mail.text).toMatch(/\n {2}Active alerts +0 +none\n/);
    expect(mail.html).toMatch(/<li[^>]*>No alert is active\.<\/li>/);
    expect(mail.html).toMatch(/>Active alerts<\/td><td[^>]*>0<\/td><td[^>]*>none<\/td>/);
    expect(mail.pictures.map(isPlot)).toEqual([true]);
    expect(resultOf(ended, "say")).toMatchObject({
      points: ["No alert is active.", expect.stringMatching(/; queries above 200 ms: 0\.$/), expect.any(String)],
      table: { columns: ["", "now", "limit"] },
      plots: [{ title: "95 % of responses within", unit: "seconds", stepSeconds: 360 }],
    });
    expect(reportsInSlack(stack.callers, run)).toEqual([]);
    expect(stack.statusPage.entries).toEqual([]);
  });

  test("slow queries and failing pages are said in one message, and reported", async () => {
    const visits = stack.visit(["/slow/?seconds=0.3", "/broken/"]);
    await until(async () => (await stack.get("/monitoring/alerts/")).body.alerts.includes("HighErrorRate"));
    const ended = await stack.ended(await stack.request({}));
    await visits.stop();
    expect(ended.outcome).toBe("nothing-to-do");
    const mail = await reportMail(stack.callers, ended.id);
    const [message] = await until(() => {
      const messages = reportsInSlack(stack.callers, ended.id);
      return messages.length > 0 && messages;
    });
    const [title, points = ""] = message ?? [];
    expect(title).toBe("Daily health check of youtility3");
    expect(points).toMatch(/^• These alerts are active: .*HighErrorRate.*\n• .*; queries above 200 ms: [1-9]\d*\.\n/);
    expect(points).toMatch(/\n• The cache had [\d.]+ % of what was asked of it; [1-9][\d.]* % of requests failed\.$/);
    expect(mail.text).toMatch(/\n {2}Requests that fail +[1-9][\d.]* % +at most 1 %\n/);
    expect(reportsInSlack(stack.callers, ended.id)).toHaveLength(1);
  });

  test("an application that is not well is reported, and handed over", async () => {
    await stack.redis.config("SET", "maxmemory", "1");
    const ended = await stack.ended(await stack.request({}));
    await stack.redis.config("SET", "maxmemory", "0");
    expect(ended).toMatchObject({ outcome: "ineffective", reason: expect.stringContaining("503") });
    expect(resultOf(ended, "health")).toMatchObject({ status: 503, body: { healthy: false, cache: false } });
    const mail = await reportMail(stack.callers, ended.id);
    expect(mail.text).toContain(" * The application says that it is not well. ");
    const [message] = await until(() => {
      const messages = reportsInSlack(stack.callers, ended.id);
      return messages.length > 0 && messages;
    });
    expect(message?.[1]).toMatch(/^• The application says that it is not well\. /);
    await until(
      () => mailsTo(stack.callers, "monitoring-alerts@youtility.com").some((mail) => mail.includes("hands it over")),
      { what: "a mail to support" },
    );
  });

  test("a page that fails, and a Prometheus that is away, leave the rest of the report", async () => {
    const views = join(stack.yt3.folder, "monitoring/views.py");
    const works = await readFile(views, "utf8");
    await writeFile(
      views,
      works.replace("def dashboard(request):\n", "def dashboard(request):\n    raise RuntimeError()\n"),
    );
    await stack.systemd.systemctl("restart", unit);
    await until(async () => (await stack.get("/monitoring/health/")).status === 200, {
      timeoutMs: 30_000,
      what: "the application",
    });
    await stack.stopPrometheus();
    const ended = await stack.ended(await stack.request({}));
    expect(ended.outcome).toBe("nothing-to-do");
    const { text } = await reportMail(stack.callers, ended.id);
    expect(text).toContain(" * No alert is active.\n");
    expect(text).toContain(" * How long responses and queries take is not known; queries above 200 ms: ");
    expect(text.replaceAll(/\s+/g, " ")).toContain(
      "how many requests failed is not known. Prometheus does not tell of the last day.",
    );
    expect(text).toMatch(/\n {2}The application is +well +well\n/);
    expect(resultOf(ended, "say").plots).toEqual([]);
    await writeFile(views, works);
  });

  test("an application that does not answer is reported as that, said in Slack, and handed over", async () => {
    await stack.systemd.systemctl("stop", unit);
    const ended = await stack.ended(await stack.request({}));
    expect(ended.outcome).toBe("ineffective");
    const mail = await reportMail(stack.callers, ended.id);
    expect(mail.text).toContain(" * The application does not answer. Which alerts are active is not known.\n");
    expect(mail.text).toMatch(/\n {2}The application is +not answering +well\n/);
    const message = await until(() => reportsInSlack(stack.callers, ended.id)[0], { what: "the message in Slack" });
    expect(message[1]).toMatch(/^• The application does not answer\. /);
    await stack.mailed(ended.id, "monitoring-alerts@youtility.com", "hands it over");
  });
});
