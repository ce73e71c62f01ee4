import { compileSchedule, dueOccurrence, type Occurrences } from "../../src/playbooks/schedule.ts";

function occurrencesOf(cron: string, timezone = "Europe/Berlin"): Occurrences {
  const compiled = compileSchedule(cron, timezone);
  if (!compiled.ok) throw new Error(compiled.message);
  return compiled.occurrences;
}

function following(occurrences: Occurrences, after: string, count: number): string[] {
  const found: string[] = [];
  let last = Date.parse(after);
  while (found.length < count) {
    const next = occurrences.next(last);
    if (next === null) break;
    found.push(new Date(next).toISOString());
    last = next;
  }
  return found;
}

test("a time that the clocks skip in spring is made up for as soon as they have", () => {
  expect(following(occurrencesOf("30 2 * * *"), "2026-03-28T12:00:00Z", 2)).toEqual([
    "2026-03-29T01:00:00.000Z",
    "2026-03-30T00:30:00.000Z",
  ]);
});

test("a time that the clocks repeat in autumn occurs once", () => {
  expect(following(occurrencesOf("30 2 * * *"), "2026-10-24T12:00:00Z", 2)).toEqual([
    "2026-10-25T00:30:00.000Z",
    "2026-10-26T01:30:00.000Z",
  ]);
});

test("several times that the clocks skip are made up for by one occurrence, and each that they repeat occurs once", () => {
  const twiceANight = occurrencesOf("0,30 2 * * *");
  expect(following(twiceANight, "2026-03-28T12:00:00Z", 2)).toEqual([
    "2026-03-29T01:00:00.000Z",
    "2026-03-30T00:00:00.000Z",
  ]);
  expect(following(twiceANight, "2026-10-24T12:00:00Z", 3)).toEqual([
    "2026-10-25T00:00:00.000Z",
    "2026-10-25T00:30:00.000Z",
    "2026-10-26T01:00:00.000Z",
  ]);
});

test("with a step, what the clocks skip is left out, and what they repeat occurs twice", () => {
  const quarters = occurrencesOf("*/30 2 * * *");
  expect(following(quarters, "2026-03-28T12:00:00Z", 1)).toEqual(["2026-03-30T00:00:00.000Z"]);
  expect(following(quarters, "2026-10-24T12:00:00Z", 4)).toEqual([
    "2026-10-25T00:00:00.000Z",
    "2026-10-25T00:30:00.000Z",
    "2026-10-25T01:00:00.000Z",
    "2026-10-25T01:30:00.000Z",
  ]);
});

test("clocks that change at midnight, by half an hour, or by leaving a day out lose no night and repeat none", () => {
  expect(following(occurrencesOf("30 0 * * *", "Africa/Cairo"), "2026-04-23T00:00:00Z", 2)).toEqual([
    "2026-04-23T22:00:00.000Z",
    "2026-04-24T21:30:00.000Z",
  ]);
  expect(following(occurrencesOf("45 1 * * *", "Australia/Lord_Howe"), "2026-04-04T00:00:00Z", 2)).toEqual([
    "2026-04-04T14:45:00.000Z",
    "2026-04-05T15:15:00.000Z",
  ]);
  expect(following(occurrencesOf("0 2 * * *", "Pacific/Apia"), "2011-12-29T00:00:00Z", 2)).toEqual([
    "2011-12-29T12:00:00.000Z",
    "2011-12-30T12:00:00.000Z",
  ]);
});

test.each([
  ["30 2 * * *", "Europe/Berlin"],
  ["0,30 2 * * *", "Europe/Berlin"],
  ["*/30 * * * *", "Europe/Berlin"],
  ["15 2 * * *", "Australia/Lord_Howe"],
])("looking back from any moment of a year, '%s' in %s finds what looking ahead found", (cron, timezone) => {
  const occurrences = occurrencesOf(cron, timezone);
  const begin = Date.parse("2026-01-01T00:00:00Z");
  // Steps that meet full hours as well as odd moments.
  const wrong = Array.from({ length: 1_500 }, (_, index) => begin + index * 21_000_000)
    .map((now) => ({ now, latest: occurrences.latest(now) ?? Number.NaN }))
    .filter(({ now, latest }) => latest > now || (occurrences.next(latest) ?? 0) <= now);
  expect(wrong).toEqual([]);
});

test("what occurs each hour does so through both changes of the clocks", () => {
  expect(following(occurrencesOf("0 * * * *"), "2026-10-24T23:10:00Z", 3)).toEqual([
    "2026-10-25T00:00:00.000Z",
    "2026-10-25T01:00:00.000Z",
    "2026-10-25T02:00:00.000Z",
  ]);
  expect(following(occurrencesOf("0 * * * *"), "2026-03-28T23:10:00Z", 3)).toEqual([
    "2026-03-29T00:00:00.000Z",
    "2026-03-29T01:00:00.000Z",
    "2026-03-29T02:00:00.000Z",
  ]);
});

test("Sunday at three is Sunday at three in its own time zone", () => {
  expect(following(occurrencesOf("0 3 * * 0", "Asia/Kolkata"), "2026-11-22T00:00:00Z", 1)).toEqual([
    "2026-11-28T21:30:00.000Z",
  ]);
});

test.each([
  ["61 * * * *", "UTC", "schedule"],
  ["* * * * * *", "UTC", "schedule"],
  ["@daily", "UTC", "schedule"],
  ["0 0 31 2 *", "UTC", "schedule"],
  ["", "UTC", "schedule"],
  ["0 2 * * *", "Mars/Phobos", "timezone"],
  ["0 2 * * *", "", "timezone"],
] as const)("'%s' in %s is refused with what to write instead", (cron, timezone, key) => {
  expect(compileSchedule(cron, timezone)).toMatchObject({
    ok: false,
    key,
    message: expect.stringMatching(/write|never/),
  });
});

describe("which occurrence is due", () => {
  const hourly = occurrencesOf("0 * * * *", "UTC");
  const at = (time: string) => Date.parse(`2026-11-22T${time}Z`);

  test("none before the next one", () => {
    expect(dueOccurrence({ missed: "run" }, hourly, at("10:00:00"), at("10:59:59"))).toBeNull();
  });

  test("the next one, from its second on", () => {
    expect(dueOccurrence({ missed: "skip" }, hourly, at("10:00:00"), at("11:00:00"))).toEqual({
      due: at("11:00:00"),
      verdict: "run",
      missed: 0,
    });
  });

  test("of several that were missed the newest only, and late where the playbook does not want it", () => {
    expect(dueOccurrence({ missed: "run" }, hourly, at("03:00:00"), at("09:30:00"))).toEqual({
      due: at("09:00:00"),
      verdict: "run",
      missed: 5,
    });
    expect(dueOccurrence({ missed: "skip" }, hourly, at("03:00:00"), at("09:30:00"))).toMatchObject({
      verdict: "late",
    });
  });

  test("one that is a minute late was not missed", () => {
    expect(dueOccurrence({ missed: "skip" }, hourly, at("10:00:00"), at("11:00:59"))).toMatchObject({ verdict: "run" });
  });

  test("the newest is the newest, also where thousands were missed before it and none since", () => {
    const january = occurrencesOf("* * * 1 *", "UTC");
    const found = dueOccurrence(
      { missed: "run" },
      january,
      Date.parse("2026-01-01T00:00:00Z"),
      Date.parse("2026-03-05T00:00:00Z"),
    );
    expect(found).toEqual({ due: Date.parse("2026-01-31T23:59:00Z"), verdict: "run", missed: 1_000 });
  });

  test("another schedule goes on from what was dealt with: what lies between was missed", () => {
    const [dealtWith, now] = [at("02:00:00"), at("12:00:00")];
    const atTen = occurrencesOf("0 10 * * *", "UTC");
    expect(dueOccurrence({ missed: "skip" }, atTen, dealtWith, now)).toMatchObject({ verdict: "late" });
    expect(dueOccurrence({ missed: "run" }, atTen, dealtWith, now)).toMatchObject({ due: at("10:00:00") });
    expect(dueOccurrence({ missed: "run" }, occurrencesOf("0 1 * * *", "UTC"), dealtWith, now)).toBeNull();
  });

  test("a schedule that nobody looked after for ten years is answered at once", () => {
    const minutely = occurrencesOf("* * * * *", "UTC");
    expect(
      dueOccurrence({ missed: "run" }, minutely, at("00:00:00") - 10 * 365 * 86_400_000, at("10:00:30")),
    ).toMatchObject({
      due: at("10:00:00"),
      verdict: "run",
    });
  });
});
