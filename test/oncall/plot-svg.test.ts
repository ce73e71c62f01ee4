import { plotSvg } from "../../src/oncall/plot-svg.ts";
import { plotOf } from "./reports.ts";

/** The lines of the plot, the newest window last: how many pieces each has, and its points. */
function linesOf(svg: string) {
  return [...svg.matchAll(/<path d="(M[^"]*)" fill="none"/g)].map(([, path = ""]) => ({
    pieces: path.split("M").length - 1,
    points: path
      .split(/[MLZ]/)
      .filter((point) => point !== "")
      .map((point) => point.split(",").map(Number)),
  }));
}

const wordsOf = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, words]) => words);

test("two windows are two lines over one axis, with units, times and what is which", () => {
  const svg = plotSvg(plotOf({ values: Array(168).fill(0.6), before: Array(168).fill(0.4), stepSeconds: 3_600 }));
  const [before, now] = linesOf(svg);
  expect([before?.points.length, now?.points.length]).toEqual([168, 168]);
  expect(now?.points[0]?.[0]).toBe(before?.points[0]?.[0]);
  // Higher is further up.
  expect(now?.points[0]?.[1]).toBeLessThan(before?.points[0]?.[1] ?? 0);
  expect(wordsOf(svg)).toEqual([
    ...["last 7 days", "7 days before", "0 ms", "200 ms", "400 ms", "600 ms"],
    ...["Tue 17", "Wed 18", "Thu 19", "Fri 20", "Sat 21", "Sun 22", "Mon 23", "UTC"],
  ]);
});

test("where nothing is known, a line has a gap, and a value that stands alone is a dot", () => {
  const svg = plotSvg(plotOf({ values: [1, 1, null, null, 1, null, 1, 1], stepSeconds: 900 }));
  expect(linesOf(svg)).toEqual([expect.objectContaining({ pieces: 3 })]);
  expect(svg.match(/<circle /g)).toHaveLength(1);
});

test.each([
  [86_400 / 240, /^\d\d:\d\d$/, "24 h"],
  [(30 * 86_400) / 240, /^\d{1,2} (Oct|Nov)$/, "30 days"],
])("an axis over 240 times %d seconds is marked as exactly as it is long", (stepSeconds, mark, span) => {
  const words = wordsOf(plotSvg(plotOf({ values: Array(240).fill(1), stepSeconds })));
  expect(words[0]).toBe(`last ${span}`);
  expect(words.filter((word) => mark.test(word ?? "")).length).toBeGreaterThan(3);
});

test("times and shares begin at 0, a size is seen in its own range", () => {
  const growing = Array.from({ length: 240 }, (_, at) => 12 * 1024 ** 3 + at * 1024 ** 2 * 10);
  expect(wordsOf(plotSvg(plotOf({ unit: "bytes", values: growing })))).toContain("12 GiB");
  expect(wordsOf(plotSvg(plotOf({ unit: "bytes", values: growing })))).not.toContain("0 GiB");
  expect(wordsOf(plotSvg(plotOf({ unit: "ratio", values: [0.8, 0.81] })))).toContain("0 %");
});

test.each([[[0, 0, 0]], [[5]], [[-3, -1]], [[null, 2, null]], [[1e-9, 1e9]]])(
  "%j can be drawn: every point is a number inside the picture",
  (values) => {
    const points = linesOf(plotSvg(plotOf({ unit: "number", values }))).flatMap((line) => line.points.flat());
    expect(points.length).toBeGreaterThan(0);
    expect(points.filter((at) => !(at >= 0 && at <= 480))).toEqual([]);
  },
);
