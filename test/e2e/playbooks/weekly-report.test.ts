/** The week beside the week before, from a real Prometheus that knows two weeks of the application, told in Slack. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { type Callers, calling, mailsTo, startCallers } from "../../support/callers.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { prometheusService, startPrometheus, type TestPrometheus } from "../../support/prometheus.ts";
import { killServices, type Service, startService, tokens } from "../../support/service.ts";
import { until } from "../../support/until.ts";

jest.setTimeout(120_000);

const root = join(__dirname, "../../..");
const day = 86_400;
// What is younger than three hours cannot be told to a Prometheus afterwards.
const newest = Math.floor(Date.now() / 1_000) - 3 * 3_600;

/** A value every 20 minutes of the last two weeks: `before` in the first of them, `now` in the second. */
const weeks = (before: number, now: number) =>
  Array.from({ length: (14 * day) / 1_200 }, (_, at) => {
    const time = newest - 14 * day + at * 1_200;
    return [time, time < newest + 3 * 3_600 - 7 * day ? before : now] as const;
  });

prometheusService.describe("weekly-report", () => {
  let callers: Callers;
  let prometheus: TestPrometheus | undefined;

  beforeAll(async () => {
    callers = await startCallers();
  });
  afterEach(async () => {
    await killServices();
    await prometheus?.stop();
    prometheus = undefined;
  });
  afterAll(() => callers?.stop());

  /** Paramedic with the shipped playbook and a Prometheus that knows these series. */
  async function start(history: Parameters<typeof startPrometheus>[0]): Promise<Service> {
    prometheus = await startPrometheus(history);
    const { escalation, contacts } = parse(await readFile(join(root, "examples/youtility3/paramedic.yaml"), "utf8"));
    const called = calling(callers, { sections: { escalation, contacts, prometheus: { url: prometheus.url } } });
    const postgres = { url: "postgres://nobody@127.0.0.1:1/none", users: ["nobody"], databases: ["none"] };
    return await startService({
      ...called,
      databaseUrl: (await sharedPostgres()).url,
      targets: { youtility3: { labels: { service: ["youtility3"] }, postgres } },
      playbooks: [await readFile(join(root, "playbooks/weekly-report.yaml"), "utf8")],
      env: { ...called.env, PD_PAGING_KEY: "canary-paging-key-0123456789abcde" },
    });
  }

  async function report(service: Service) {
    const asked = { playbook: "weekly-report", target: "youtility3", inputs: {}, reason: "a test" };
    const { body } = await service.api("POST", "/api/v1/runs", asked, tokens.operator);
    return await service.ended(body.id, 60_000);
  }

  const said = () => callers.slack.messages().filter(({ text }) => /Week of YOUTILITY3/.test(text));
  const textOf = (message: ReturnType<typeof said>[number] | undefined) => JSON.stringify(message?.blocks);

  test("responses that became slower are warned of, with a plot, and support is told", async () => {
    const service = await start({
      history: {
        youtility3_response_time_p95_seconds: weeks(0.4, 0.6),
        youtility3_query_time_p95_seconds: weeks(0.05, 0.04),
        youtility3_cache_hit_ratio: weeks(0.8, 0.8),
        youtility3_error_ratio: weeks(0.002, 0.004),
      },
    });
    const ended = await report(service);
    expect(ended).toMatchObject({ outcome: "nothing-to-do" });
    const text = textOf(said()[0]);
    expect(text).toContain("Warning: responses become slower. Week of YOUTILITY3");
    expect(text).toMatch(/95 % of responses within 600 ms \((49|50) %\), at most 600 ms/);
    expect(text).toMatch(/\\n█{35,40}·{0,5}\\n/);
    expect(text).toMatch(/95 % of queries within 40 ms \(-(19|20) %\)/);
    expect(text).toContain("Cache hit rate 80 %, errors 4 of 1000 requests");
    await until(() => mailsTo(callers, "monitoring-alerts@youtility.com").some((mail) => mail.includes(ended.id)), {
      what: "a mail to support",
    });
  });

  test("a steady week is told without a warning, and nobody else hears of it", async () => {
    const steady = weeks(0.4, 0.41);
    const service = await start({
      history: {
        youtility3_response_time_p95_seconds: steady,
        youtility3_query_time_p95_seconds: steady,
        youtility3_cache_hit_ratio: steady,
        youtility3_error_ratio: steady,
      },
    });
    const ended = await report(service);
    expect(textOf(said().at(-1))).not.toContain("Warning");
    expect(said()).toHaveLength(2);
    expect(mailsTo(callers, "monitoring-alerts@youtility.com").filter((mail) => mail.includes(ended.id))).toEqual([]);
  });

  test("where Prometheus knows nothing of the application, the run is handed over and says why", async () => {
    const ended = await report(await start({}));
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining("No data") });
    expect(said()).toHaveLength(2);
  });
});
