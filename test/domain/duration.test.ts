import fc from "fast-check";
import { formatDuration, parseDuration, sayDuration } from "../../src/domain/duration.ts";

describe("parseDuration", () => {
  test.each([
    ["0s", 0],
    ["1s", 1_000],
    ["90s", 90_000],
    ["10m", 600_000],
    ["2h", 7_200_000],
    ["7d", 604_800_000],
    ["366d", 366 * 86_400_000],
    ["007s", 7_000],
  ])("reads %s", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each([
    "",
    "s",
    "1",
    "1ms",
    "1w",
    "1y",
    "-1s",
    "+1s",
    "1.5h",
    "1 s",
    " 1s",
    "1s ",
    "1s\n",
    "1h30m",
    "1S",
    "1e3s",
    "١s",
    "367d",
    "8785h",
    "999999999s",
    "99999999d",
    "Infinitys",
  ])("refuses %j", (text) => {
    expect(parseDuration(text)).toBeNull();
  });
});

describe("formatDuration", () => {
  test.each([
    [0, "0s"],
    [499, "0s"],
    [500, "1s"],
    [90_000, "90s"],
    [60_000, "1m"],
    [3_600_000, "1h"],
    [5_400_000, "90m"],
    [86_400_000, "1d"],
    [90_000_000, "25h"],
  ])("writes %d ms", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test("is read back as the same duration", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 366 * 86_400 }), (seconds) => {
        const text = formatDuration(seconds * 1_000);
        expect(parseDuration(text)).toBe(seconds * 1_000);
      }),
    );
  });
});

describe("sayDuration", () => {
  test.each([
    [0, "0 seconds"],
    [1_999, "1 second"],
    [59_999, "59 seconds"],
    [725_000, "12 minutes"],
    [3_600_000, "1 hour"],
    [12_000_000, "3 hours 20 minutes"],
    [187_200_000, "2 days 4 hours"],
    [172_860_000, "2 days"],
  ])("says %d ms as %s", (ms, words) => {
    expect(sayDuration(ms)).toBe(words);
  });
});
