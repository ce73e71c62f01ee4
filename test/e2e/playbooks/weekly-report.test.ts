/** The week beside the week before, from a real Prometheus that knows two weeks of the application, reported to people. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { type Callers, calling, mailsTo, startCallers } from "../../support/callers.ts";
import { freePort } from "../../support/free-port.ts";
import { series } from "../../support/history.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import {
  type PrometheusOptions,
  prometheusService,
  startPrometheus,
  type TestPrometheus,
} from "../../support/prometheus.ts";
import { isPlot, reportMail, reportsInSlack } from "../../support/report.ts";
import { runBySchedule } from "../../support/schedules.ts";
import { killServices, type Service, startService, tokens } from "../../support/service.ts";
import { until } from "../../support/until.ts";
import { resultOf } from "../../support/youtility3-stack.ts";

jest.setTimeout(120_000);

const root = join(__dirname, "../../..");

/** A value every 20 minutes of the last two weeks: `before` in the first of them, `now` in the second. */
const weeks = (before: number, now: number) => series(14, 1_200, (ago) => (ago > 7 ? before : now));

prometheusService.describe("weekly-report", () => {
  let callers: Callers;
  let service: Service;
  let databaseUrl: string;
  let prometheusPort: number;
  let prometheus: TestPrometheus | undefined;

  beforeAll(async () => {
    callers = await startCallers();
    prometheusPort = await freePort();
    const { escalation, contacts } = parse(await readFile(join(root, "examples/youtility3/paramedic.yaml"), "utf8"));
    const sections = { escalation, contacts, prometheus: { url: `http://127.0.0.1:${prometheusPort}` } };
    const called = calling(callers, { sections });
    const postgres = { url: "postgres://nobody@127.0.0.1:1/none", users: ["nobody"], databases: ["none"] };
    databaseUrl = await (await sharedPostgres()).newDatabase();
    service = await startService({
      ...called,
      databaseUrl,
      targets: { youtility3: { labels: { service: ["youtility3"] }, postgres } },
      playbooks: [await readFile(join(root, "playbooks/weekly-report.yaml"), "utf8")],
      env: { ...called.env, PD_PAGING_KEY: "canary-paging-key-0123456789abcde" },
    });
  });
  afterEach(async () => {
    await prometheus?.stop();
    prometheus = undefined;
  });
  afterAll(async () => {
    await killServices();
    await callers?.stop();
  });

  /** A run of the playbook while Prometheus knows these series. */
  async function report(history?: NonNullable<PrometheusOptions["history"]>, bySchedule = false) {
    prometheus = await startPrometheus({ port: prometheusPort, ...(history && { history }) });
    if (bySchedule) return await service.ended(await runBySchedule(service, databaseUrl), 60_000);
    const asked = { playbook: "weekly-report", target: "youtility3", inputs: {}, reason: "a test" };
    const { body } = await service.api("POST", "/api/v1/runs", asked, tokens.operator);
    return await service.ended(body.id, 60_000);
  }

  const said = (run: string) =>
    until(() => reportsInSlack(callers, run)[0]?.join("\n"), { what: "the message in Slack" });

  test("responses that became slower are warned of, beside the numbers and the plots of two weeks", async () => {
    const ended = await report({
      youtility3_response_time_p95_seconds: weeks(0.4, 0.6),
      youtility3_query_time_p95_seconds: weeks(0.05, 0.04),
      youtility3_cache_hit_ratio: weeks(0.8, 0.8),
      youtility3_error_ratio: weeks(0.002, 0.004),
    });
    expect(ended).toMatchObject({ outcome: "nothing-to-do" });
    const points = [
      expect.stringMatching(
        /^Warning: responses become slower\. 95 % of them came within (600|59\d) ms, \+(49|50) % beside the week before\.$/,
      ),
      expect.stringMatching(/^95 % of queries came within 40(\.\d)? ms, −(19|20) % beside the week before\.$/),
      expect.stringMatching(/^The cache had 80 % of what was asked of it; 0\.(4|39\d) % of requests failed\.$/),
    ];
    const result = resultOf(ended, "say");
    expect(result.points).toEqual(points);
    expect(result.plots.map(({ title }: { title: string }) => title)).toEqual([
      "95 % of responses within",
      "95 % of queries within",
      "Cache hit rate",
      "Requests that fail",
    ]);
    expect(result.plots[0].values).toHaveLength(240);
    expect(result.plots[0].before.values).toHaveLength(240);
    expect(await said(ended.id)).toBe(
      [
        "Weekly report of youtility3",
        ...result.points.map((point: string) => `• ${point}`),
        `\`paramedic show ${ended.id}\``,
      ].join("\n"),
    );
    const mail = await reportMail(callers, ended.id);
    expect(mail.to).toEqual(["monitoring-alerts@youtility.com"]);
    expect(mail.subject).toMatch(/^Weekly report of youtility3, \d{4}-\d\d-\d\d$/);
    for (const point of result.points) expect(mail.text).toContain(`  * ${point}\n`);
    expect(mail.text).toMatch(/\n +last 7 days {2}7 days before {2}change {2}highest\n/);
    expect(mail.text).toMatch(/\n {2}95 % of responses within +(600|59\d) ms +400 ms +\+(49|50) % +600 ms\n/);
    expect(mail.html).toMatch(/<li[^>]*>Warning: responses become slower\. /);
    expect(mail.html).toMatch(/<td[^>]*>Cache hit rate<\/td><td[^>]*>80&nbsp;%<\/td><td[^>]*>80&nbsp;%<\/td>/);
    expect(mail.pictures.map(isPlot)).toEqual([true, true, true, true]);
  });

  test("by its schedule a steady week is reported, without a warning", async () => {
    const steady = weeks(0.4, 0.41);
    const ended = await report(
      {
        youtility3_response_time_p95_seconds: steady,
        youtility3_query_time_p95_seconds: steady,
        youtility3_cache_hit_ratio: steady,
        youtility3_error_ratio: steady,
      },
      true,
    );
    expect(ended.trigger).toEqual({ kind: "schedule", due: expect.stringMatching(/T07:00:00\.000Z$/) });
    expect(new Date((ended.trigger as { due: string }).due).getUTCDay()).toBe(1);
    const mail = await reportMail(callers, ended.id);
    for (const text of [await said(ended.id), mail.text, mail.html]) {
      expect(text).toMatch(/95(&nbsp;| )% of them came within/);
      expect(text).not.toContain("Warning");
    }
  });

  test("where Prometheus knows nothing of the application, the run is handed over and says why", async () => {
    const ended = await report();
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining("No data") });
    await until(() => mailsTo(callers, "monitoring-alerts@youtility.com").some((mail) => mail.includes(ended.id)), {
      what: "a mail to support",
    });
    expect(reportsInSlack(callers, ended.id).filter(([title]) => title === "Weekly report of youtility3")).toEqual([]);
  });
});
