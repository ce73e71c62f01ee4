/** `prometheus.range` on a real Prometheus that was given four weeks of history. */

import { prometheusRange } from "../../../src/actions/prometheus/range.ts";
import { prometheusService, startPrometheus, type TestPrometheus } from "../../support/prometheus.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

test("without a Prometheus, says what to configure", async () => {
  const observed = await prometheusRange(null).observe({ query: "1", hours: 1 }, contextFor(null));
  expect(observed).toMatchObject({ status: "failed", reason: expect.stringContaining("Add prometheus.url") });
});

prometheusService.describe("prometheus.range", () => {
  // What is younger than three hours cannot be told to a Prometheus afterwards.
  const now = Math.floor(Date.now() / 1_000) - 4 * 3_600;
  const day = 86_400;
  let prometheus: TestPrometheus;

  /** A value every four minutes of the days from `from` to `to`, counted back from now. */
  const series = (from: number, to: number, value: (daysAgo: number) => number) =>
    Array.from({ length: Math.floor(((from - to) * day) / 240) }, (_, at) => {
      const time = now - from * day + at * 240;
      return [time, value((now - time) / day)] as const;
    });

  beforeAll(async () => {
    prometheus = await startPrometheus({
      history: {
        steady: series(14, 0, () => 0.5),
        doubled: series(14, 0, (ago) => (ago >= 7 ? 1 : 2)),
        growing: series(14, 0, (ago) => 1_000 - 10 * ago),
        young: series(3.5, 0, () => 7),
        dead: series(14, 8, () => 1),
        two: series(14, 0, () => 1),
      },
    });
  }, 60_000);

  afterAll(() => prometheus?.stop());

  const ask = (query: string, more: { hours?: number; limit?: number } = {}) =>
    prometheusRange(prometheus.url).observe(
      { query, hours: 168, ...more },
      { ...contextFor(null), now: () => now * 1_000 },
    );

  const seen = async (query: string, more: { hours?: number; limit?: number } = {}) => {
    const observed = await ask(query, more);
    if (observed.status !== "observed") throw new Error(observed.reason);
    return observed.output;
  };

  describeContract("prometheus.range", {
    input: { query: "steady", hours: 24 },
    hostile: [
      null,
      {},
      { query: "" },
      { query: "up", hours: 0 },
      { query: "up", hours: 9_000 },
      { query: "up", url: "http://x" },
    ],
    healthy: () => ({ action: { ...prometheusRange(prometheus.url) }, target: null }),
    at: (port) => ({ action: prometheusRange(`http://127.0.0.1:${port}`), target: null }),
    state: async () => (await seen("steady")).average,
  });

  test("a series that stands still has no slope and is as it was", async () => {
    const output = await seen("steady");
    expect(output).toMatchObject({ average: 0.5, minimum: 0.5, maximum: 0.5, last: 0.5, change: 0 });
    expect(output.slopePerDay).toBeCloseTo(0);
    expect(output.coverage).toBeGreaterThan(0.98);
    expect(output.values).toHaveLength(240);
    expect(new Set(output.values.slice(0, 239))).toEqual(new Set([0.5]));
    expect(output).toMatchObject({ endsAt: new Date(now * 1_000).toISOString(), stepSeconds: 2_520 });
    expect(output).not.toHaveProperty("daysLeft");
  });

  test("a week is told beside the week before, value by value", async () => {
    const output = await seen("doubled");
    expect(output).toMatchObject({ average: 2, before: { average: 1, maximum: 1 } });
    expect(output.change).toBeCloseTo(1);
    expect([...new Set(output.values)].filter((value) => value !== null)).toEqual([2]);
    expect(output.before?.values).toEqual(Array(240).fill(1));
  });

  test("what grows has a slope per day, and days left until a limit", async () => {
    const output = await seen("growing", { limit: 1_100 });
    expect(output.slopePerDay).toBeCloseTo(10, 3);
    expect(output.maximum).toBeGreaterThan(999);
    expect(output.before?.maximum).toBeLessThan(931);
    expect(output.daysLeft).toBeCloseTo(10, 1);
    const [first, second] = output.values;
    expect((second ?? 0) - (first ?? 0)).toBeCloseTo((10 * 2_520) / day, 1);
  });

  test.each<[string, number, number | undefined]>([
    ["growing", 990, 0],
    ["growing", 10, undefined],
    ["-growing", -1_100, 10],
    ["steady", 1, undefined],
  ])("%s has with the limit %d so many days left: %p", async (query, limit, days) => {
    const { daysLeft } = await seen(query, { limit });
    if (days === undefined) expect(daysLeft).toBeUndefined();
    else expect(daysLeft).toBeCloseTo(days, 1);
  });

  test("a series that is younger than the window has gaps, says what part of it there is, and has nothing before", async () => {
    const output = await seen("young");
    expect(output.coverage).toBeCloseTo(0.5, 1);
    const gap = output.values.findIndex((value) => value !== null);
    expect(gap).toBeGreaterThan(115);
    expect(gap).toBeLessThan(122);
    expect(output.values.slice(gap, 239)).toEqual(Array(239 - gap).fill(7));
    expect(output).not.toHaveProperty("before");
    expect(output).not.toHaveProperty("change");
  });

  test("values that are no numbers are left out", async () => {
    const output = await seen("growing / (growing > 960)");
    expect(output).toMatchObject({ average: 1, minimum: 1 });
    expect((await seen("0 / (steady * 0 + (growing > bool 960))")).coverage).toBeCloseTo(4 / 7, 1);
  });

  test.each<[string, string, boolean]>([
    ["nothing_like_it", "No data", true],
    ["dead", "No data", true],
    ['{__name__=~"steady|two"}', "2 series, not in one", false],
    ["steady[5m]", "answered 400", false],
    ["sum(", "answered 400", false],
  ])("%s is a failure that says: %s", async (query, words, retryable) => {
    expect(await ask(query)).toMatchObject({ status: "failed", retryable, reason: expect.stringContaining(words) });
  });
});
