import { compare, figure, leftOut, type Row } from "../../bench/row.ts";
import { tableOf } from "../../bench/table.ts";
import { verdictOn } from "../../bench/verdict.ts";

const met = compare({ what: "a", unit: "ms", ours: 1, baseline: 1 }, { atMost: 1.5 });
const missed = compare({ what: "b", unit: "ms", ours: 2, baseline: 1 }, { atMost: 1.5 });
const unmeasured = leftOut({ what: "c", unit: "ms", required: "<= 3" }, "There is no systemd here.");
const told = figure({ what: "d", unit: "ms", ours: 9 });
// A baseline of nothing makes no number, and proves nothing.
const absurd = compare({ what: "e", unit: "ms", ours: 0, baseline: 0 }, { atLeast: 0.5 });

test.each<[string, readonly Row[], 0 | 1, readonly string[]]>([
  ["all are met", [met, told], 0, ["All 1 requirements were met."]],
  ["one is missed", [met, missed], 1, ["MISSED: b (<= 1.5)", "Of 2 requirements 1 were missed and 0 left out."]],
  [
    "one is left out",
    [met, unmeasured],
    1,
    ["LEFT OUT: c: There is no systemd here.", "Of 2 requirements 0 were missed and 1 left out."],
  ],
  ["one is no number", [absurd], 1, ["MISSED: e (>= 0.5)", "Of 1 requirements 1 were missed and 0 left out."]],
])("where %s it is told, and fails in CI", (_what, rows, exitCode, lines) => {
  expect(verdictOn(rows, true)).toEqual({ exitCode, lines });
  expect(verdictOn(rows, false)).toEqual({ exitCode: 0, lines });
});

test("the table names what was missed and what was left out", () => {
  const lines = tableOf([met, missed, unmeasured, told]).split("\n").slice(1);
  expect(lines.map((line) => /ok|MISSED|LEFT OUT/.exec(line)?.[0])).toEqual(["ok", "MISSED", "LEFT OUT", undefined]);
});
