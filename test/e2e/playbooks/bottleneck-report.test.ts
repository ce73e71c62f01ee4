/** Whoever asks where the time goes is told the slowest page, the slowest statement and the index that would help. */

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

  test("the three things that matter are said, and the run has the rest", async () => {
    const visits = stack.visit(["/search/?times=5", "/slow/?seconds=1.5", "/tickets/"]);
    while (visits.seen() < 9) await stack.get("/tickets/");
    const ended = await stack.ended(await stack.request({}));
    await visits.stop();
    expect(ended).toMatchObject({ outcome: "nothing-to-do", reason: "nothing had to be changed" });
    expect(resultOf(ended, "application").result.slow_endpoints[0]).toMatchObject({ path: "/slow/" });
    expect(resultOf(ended, "statements").slowestMeanMs).toBeGreaterThan(1_400);
    expect(resultOf(ended, "missing").suggestions).toMatchObject([{ table: "core_ticket", columns: ["title"] }]);
    const [text] = stack.callers.slack.messages().flatMap((one) => (/^Bottlenecks/.test(one.text) ? [one.text] : []));
    expect(text).toMatch(
      /^Bottlenecks of YOUTILITY3\.\sSlowest endpoint: \/slow\/, 95 % within 1[5-9]\d\d ms; \d+ queries/,
    );
    expect(text).toMatch(/the slowest statement takes 1[5-9]\d\d ms, an index on core_ticket \(title\) would help/);
  });

  test("where nobody has asked for anything, it says so", async () => {
    await stack.sql("SELECT pg_stat_statements_reset()");
    await stack.yt3.shell(
      "from monitoring.django_monitoring import metrics_collector as m\nfor k in m.kinds: m._redis.delete(f'metrics:{k}')",
    );
    await stack.ended(await stack.request({}));
    expect(stack.callers.slack.messages().map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/Slowest endpoint: none was asked; 0 queries for 0 requests/),
    );
  });
});
