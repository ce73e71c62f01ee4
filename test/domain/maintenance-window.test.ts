import { openForMs, parseMaintenanceWindow, whyClosed } from "../../src/domain/maintenance-window.ts";

function openMinutes(text: string, at: string): number {
  const window = parseMaintenanceWindow(text);
  if (!window) throw new Error(`no window: ${text}`);
  return openForMs([window], Date.parse(at)) / 60_000;
}

test.each([
  ["Sun 02:00-05:00 Europe/Berlin", "2026-11-22T00:59:59Z", 0],
  ["Sun 02:00-05:00 Europe/Berlin", "2026-11-22T01:00:00Z", 180],
  ["Sun 02:00-05:00 Europe/Berlin", "2026-11-22T03:30:00Z", 30],
  ["Sun 02:00-05:00 Europe/Berlin", "2026-11-22T04:00:00Z", 0],
  ["Sun 02:00-05:00 Europe/Berlin", "2026-11-23T02:00:00Z", 0],
  // In summer the same clock time is an hour earlier in UTC.
  ["Sun 02:00-05:00 Europe/Berlin", "2026-07-05T00:30:00Z", 150],
  ["Mon-Fri 22:00-04:00 UTC", "2026-11-20T23:00:00Z", 300],
  ["Mon-Fri 22:00-04:00 UTC", "2026-11-21T03:00:00Z", 60],
  ["Mon-Fri 22:00-04:00 UTC", "2026-11-21T23:00:00Z", 0],
  ["Mon-Fri 22:00-04:00 UTC", "2026-11-23T03:00:00Z", 0],
  ["Sat-Mon 10:00-11:00 UTC", "2026-11-22T10:30:00Z", 30],
  ["Sat,Tue 10:00-11:00 UTC", "2026-11-22T10:30:00Z", 0],
  ["daily 00:00-24:00 UTC", "2026-11-22T10:00:00Z", 840],
])("%s is open at %s for %d minutes", (text, at, minutes) => {
  expect(openMinutes(text, at)).toBe(minutes);
});

test("of several windows the one that is open longest counts, and without any nothing is open", () => {
  const windows = ["daily 01:00-02:00 UTC", "Sun 00:00-03:00 UTC"].map((text) => parseMaintenanceWindow(text));
  const at = Date.parse("2026-11-22T01:00:00Z");
  expect(
    openForMs(
      windows.filter((window) => window !== null),
      at,
    ),
  ).toBe(2 * 3_600_000);
  expect(openForMs([], at)).toBe(0);
});

test.each([
  "",
  "always",
  "Sun 02:00-05:00",
  "Sun 2:00-5:00 UTC",
  "Sun 02:00-02:00 UTC",
  "Sun 02:60-05:00 UTC",
  "Sun 25:00-26:00 UTC",
  "sun 02:00-05:00 UTC",
  "Sun-Mon-Tue 02:00-05:00 UTC",
  "Sun, 02:00-05:00 UTC",
  "* 02:00-05:00 UTC",
  "Sun 02:00-05:00 Europe/Nowhere",
])("%j is no window", (text) => {
  expect(parseMaintenanceWindow(text)).toBeNull();
});

test.each([
  ["Sun 02:00-05:00 UTC", "2026-11-22T04:00:00Z", 3_600_000, null],
  ["Sun 02:00-05:00 UTC", "2026-11-22T04:00:01Z", 3_600_000, "closes in 3599s (Sun 02:00-05:00 UTC)"],
  ["daily 00:00-24:00 UTC", "2026-11-22T23:59:00Z", 86_400_000, null],
  ["daily 22:00-24:00 UTC", "2026-11-22T23:00:00Z", 7_200_000, "it may take 2h, its timeout, and"],
])("in %s at %s there is the time for what takes %d ms, or it is said why not", (text, at, neededMs, why) => {
  const windows = [parseMaintenanceWindow(text)].filter((window) => window !== null);
  const told = whyClosed(windows, Date.parse(at), neededMs);
  if (why === null) expect(told).toBeNull();
  else expect(told).toContain(why);
});
