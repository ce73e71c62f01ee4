/** Whoever asks where the time goes is told the slowest page, the slowest statement and the index that would help. */

import { isPlot, reportMail, reportsInSlack } from "../../support/report.ts";
import { until } from "../../support/until.ts";
import { resultOf, type Stack, stackServices, startStack } from "../../support/youtility3-stack.ts";

jest.setTimeout(180_000);

stackServices.describe("bottleneck-report", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ playbook: "bottleneck-report" });
    await stack.sql(
      `INSERT INTO core_ticket (location_id, title, status, priority, opened_at)
       SELECT (SELECT max(id) FROM core_location), 'ticket ' || n, 'open', 1, now() FROM generate_series(1, 100000) n`,
    );
    await stack.sql("ANALYZE core_ticket");
  });
  afterAll(() => stack?.stop());

  /** What Slack says of the run: the sentences, line by line. */
  const said = async (run: string) => {
    const message = await until(() => reportsInSlack(stack.callers, run)[0], { what: "the message in Slack" });
    expect(message[0]).toBe("Bottleneck report of youtility3");
    return message[1] ?? "";
  };

  test("the three things that matter are said, the mail has the list and a plot, and the run has the rest", async () => {
    const visits = stack.visit(["/search/?times=5", "/slow/?seconds=1.5", "/tickets/"]);
    while (visits.seen() < 9) await stack.get("/tickets/");
    const ended = await stack.ended(await stack.request({}));
    await visits.stop();
    expect(ended).toMatchObject({ outcome: "nothing-to-do", reason: "nothing had to be changed" });
    expect(resultOf(ended, "application").result.slow_endpoints[0]).toMatchObject({ path: "/slow/" });
    expect(resultOf(ended, "statements").slowestMeanMs).toBeGreaterThan(1_400);
    expect(resultOf(ended, "missing").suggestions).toMatchObject([{ table: "core_ticket", columns: ["title"] }]);
    expect(await said(ended.id)).toMatch(
      /^• Slowest page: \/slow\/, 95 % within 1\.[5-9]\d* s\.\n• Slowest statement: 1\.[5-9]\d* s; an index on core_ticket \(title\) would help\.\n• The cache had [\d.]+ % .*; [1-9]\d* queries for [1-9]\d* requests\.$/,
    );
    const mail = await reportMail(stack.callers, ended.id);
    expect(mail).toMatchObject({ to: ["monitoring-alerts@youtility.com"] });
    expect(mail.subject).toMatch(/^Bottleneck report of youtility3, /);
    expect(mail.text).toContain("* Slowest page: /slow/, 95 % within 1.");
    expect(mail.text).toMatch(/\n {2}page or statement +calls +takes\n/);
    expect(mail.text).toMatch(/\n {2}\/slow\/ +[1-9]\d* +1\.[5-9]\d* s\n/);
    expect(mail.html).toMatch(/<td[^>]*>SELECT [^<]*pg_sleep/);
    expect(mail.html).toMatch(/<td[^>]*>\/slow\/<\/td>/);
    expect(mail.pictures.map(isPlot)).toEqual([true]);
    const { points, table, plots } = resultOf(ended, "say");
    expect(points).toHaveLength(3);
    expect(table.rows).toContainEqual(["/slow/", expect.any(String), expect.stringMatching(/^1\.[5-9]\d* s$/)]);
    // First the pages, then the statements, of which the run has as many as the page asks for.
    const pages = resultOf(ended, "application").result.slow_endpoints.length;
    const rows: string[][] = table.rows;
    expect(rows.slice(0, pages).every(([name]) => name?.startsWith("/"))).toBe(true);
    expect(rows[pages]?.[0]).toMatch(/^[A-Z]/);
    expect(resultOf(ended, "statements").statements.length).toBeGreaterThan(6);
    expect(plots).toMatchObject([{ unit: "seconds", average: expect.any(Number) }]);
  });

  test("where nobody has asked for anything, it says so", async () => {
    await stack.sql("SELECT pg_stat_statements_reset()");
    await stack.yt3.shell(
      "from monitoring.django_monitoring import metrics_collector as m\nfor k in m.kinds: m._redis.delete(f'metrics:{k}')",
    );
    const ended = await stack.ended(await stack.request({}));
    expect(await said(ended.id)).toMatch(
      /^• No page was asked for\.\n.*\n• The cache had .*; 0 queries for 0 requests\.$/,
    );
    expect((await reportMail(stack.callers, ended.id)).text).toContain("* No page was asked for.");
  });
});
