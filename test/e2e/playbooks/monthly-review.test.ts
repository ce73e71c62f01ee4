/** The month's review: a real database with indexes to review, real folders, and a real Prometheus that knows two months. */

import { readFile, statfs } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { createShop, type Shop } from "../../actions/postgres/shop.ts";
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
import { temporaryFolder } from "../../support/run-folder.ts";
import { runBySchedule } from "../../support/schedules.ts";
import { killServices, type Service, startService, tokens } from "../../support/service.ts";
import { until } from "../../support/until.ts";
import { resultOf } from "../../support/youtility3-stack.ts";

jest.setTimeout(120_000);

const root = join(__dirname, "../../..");
const mebibyte = 1_024 ** 2;

/** A value every hour of the last two months. */
const months = (value: (daysAgo: number) => number) => series(60, 3_600, value);

prometheusService.describe("monthly-review", () => {
  let callers: Callers;
  let shop: Shop;
  let folder: string;
  let service: Service;
  let databaseUrl: string;
  let prometheusPort: number;
  let prometheus: TestPrometheus | undefined;

  beforeAll(async () => {
    callers = await startCallers();
    prometheusPort = await freePort();
    folder = await temporaryFolder("backups");
    const server = await sharedPostgres();
    shop = await createShop(server, await server.newDatabase());
    await shop.sql("CREATE EXTENSION pg_stat_statements");
    // Each reads the whole table to keep a few of its rows, and nobody reads the index on the price.
    for (let times = 0; times < 5; times++) await shop.asApp("SELECT note FROM item WHERE kind = 'kind 7'");
    const { escalation, contacts } = parse(await readFile(join(root, "examples/youtility3/paramedic.yaml"), "utf8"));
    const target = {
      host: "app-1",
      labels: { service: ["youtility3"] },
      postgres: { url: { env: "SHOP_DATABASE_URL" }, users: [shop.app], databases: [shop.database] },
      files: { folders: [folder] },
    };
    const sections = {
      targets: { youtility3: target },
      escalation,
      contacts,
      prometheus: { url: `http://127.0.0.1:${prometheusPort}` },
    };
    const called = calling(callers, { sections });
    databaseUrl = await server.newDatabase();
    service = await startService({
      ...called,
      databaseUrl,
      host: "app-1",
      targets: {},
      playbooks: [await readFile(join(root, "playbooks/monthly-review.yaml"), "utf8")],
      env: {
        ...called.env,
        PD_PAGING_KEY: "canary-paging-key-0123456789abcde",
        SHOP_DATABASE_URL: shop.urlOf(shop.carer),
      },
    });
  });
  afterEach(async () => {
    await prometheus?.stop();
    prometheus = undefined;
  });
  afterAll(async () => {
    await killServices();
    await shop?.closeSessions();
    await callers?.stop();
  });

  /** A run of the playbook while Prometheus knows these series. */
  async function review(history?: NonNullable<PrometheusOptions["history"]>, bySchedule = false) {
    prometheus = await startPrometheus({ port: prometheusPort, ...(history && { history }) });
    if (bySchedule) return await service.ended(await runBySchedule(service, databaseUrl), 60_000);
    const asked = { playbook: "monthly-review", target: "youtility3", inputs: {}, reason: "a test" };
    const { body } = await service.api("POST", "/api/v1/runs", asked, tokens.operator);
    return await service.ended(body.id, 60_000);
  }

  /** The application became slower in the last month; its database has had this size. */
  const history = (bytes: (daysAgo: number) => number) => ({
    youtility3_response_time_p95_seconds: months((ago) => (ago > 30 ? 0.4 : 0.5)),
    youtility3_query_time_p95_seconds: months(() => 0.05),
    youtility3_database_bytes: months(bytes),
  });

  const toldInfrastructure = (run: string) =>
    mailsTo(callers, "infra@youtility.com").filter((mail) => mail.includes(run)).length;

  test("by its schedule indexes, baseline and capacity are reported; where room lasts for years, nobody else is told", async () => {
    const ended = await review(
      history((ago) => 100 * mebibyte - ago * mebibyte),
      true,
    );
    expect(ended).toMatchObject({ outcome: "nothing-to-do", reason: "nothing had to be changed" });
    expect(ended.trigger).toEqual({ kind: "schedule", due: expect.stringMatching(/-01T07:00:00\.000Z$/) });
    expect(resultOf(ended, "missing").suggestions).toMatchObject([{ table: "item", columns: ["kind"] }]);
    const { points, table, plots } = resultOf(ended, "say");
    expect(points).toEqual([
      expect.stringMatching(
        /^The database has [\d.]+ MiB, (1|0\.99\d|1\.0\d) MiB more each day; its room lasts for [\d,]+ days\.$/,
      ),
      "Indexes: 1 missing, 1 unused, 0 invalid.",
      expect.stringMatching(
        /^95 % of responses came within (500|49\d) ms \(\+(24|25) % beside the month before\), of queries within 50 ms\.$/,
      ),
    ]);
    expect(table.rows).toContainEqual(["Missing indexes", "item (kind)"]);
    expect(table.rows).toContainEqual(["Unused indexes", "item_price"]);
    expect(table.rows).toContainEqual(["Invalid indexes", "–"]);
    expect(plots.map(({ unit }: { unit: string }) => unit)).toEqual(["seconds", "seconds", "bytes"]);

    const mail = await reportMail(callers, ended.id);
    expect(mail.to).toEqual(["monitoring-alerts@youtility.com"]);
    expect(mail.subject).toMatch(/^Monthly review of youtility3, \d{4}-\d\d-\d\d$/);
    expect(mail.text).toContain("  * Indexes: 1 missing, 1 unused, 0 invalid.\n");
    expect(mail.text).toMatch(/\n {2}Missing indexes +item \(kind\)\n/);
    expect(mail.text).toMatch(/\n +last 30 days {2}30 days before {2}change {2}highest\n/);
    expect(mail.html).toMatch(/<td[^>]*>Unused indexes<\/td><td[^>]*>item_price<\/td>/);
    expect(mail.pictures.map(isPlot)).toEqual([true, true, true]);
    const [message] = await until(() => {
      const messages = reportsInSlack(callers, ended.id);
      return messages.length > 0 && messages;
    });
    expect(message?.slice(0, 2)).toEqual([
      "Monthly review of youtility3",
      points.map((point: string) => `• ${point}`).join("\n"),
    ]);
    expect(toldInfrastructure(ended.id)).toBe(0);
  });

  test("where the room runs out in fewer than 90 days, the infrastructure's people are told as well", async () => {
    const { bavail, bsize } = await statfs(folder);
    const perDay = (bavail * bsize) / 100;
    const ended = await review(history((ago) => (60 - ago) * perDay));
    expect(ended.outcome).toBe("nothing-to-do");
    const { daysLeft } = resultOf(ended, "growth");
    // 40 days, but for what else happens on this disk.
    expect(daysLeft).toBeGreaterThan(1);
    expect(daysLeft).toBeLessThan(90);
    expect(resultOf(ended, "say").points[0]).toMatch(/; its room lasts for [\d.]+ days\.$/);
    await until(() => toldInfrastructure(ended.id) > 0, { what: "a mail to the infrastructure's people" });
    await reportMail(callers, ended.id);
  });

  test("where Prometheus has been there for ten days only, that is said beside the numbers", async () => {
    const days = (value: number) => series(10, 3_600, () => value);
    const ended = await review({
      youtility3_response_time_p95_seconds: days(0.5),
      youtility3_query_time_p95_seconds: days(0.05),
      youtility3_database_bytes: days(100 * mebibyte),
    });
    expect(resultOf(ended, "say").points[2]).toMatch(
      /^95 % of responses came within 500 ms, of queries within 50 ms\. Prometheus knows only 10 of these 60 days\.$/,
    );
    await reportMail(callers, ended.id);
  });

  test("where Prometheus knows nothing, the run is handed over with what was gathered", async () => {
    const ended = await review();
    expect(ended).toMatchObject({ outcome: "failed", reason: expect.stringContaining("No data") });
    expect(resultOf(ended, "missing").suggestions).toHaveLength(1);
    expect(resultOf(ended, "sizes").databaseBytes).toBeGreaterThan(0);
    await until(() => mailsTo(callers, "dba-team@youtility.com").some((mail) => mail.includes(ended.id)), {
      what: "a mail to the database's people",
    });
    expect(toldInfrastructure(ended.id)).toBe(0);
  });
});
