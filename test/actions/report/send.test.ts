/** What a report is made of, and whom it is for. How people get it is tested where they are told. */

import { type ContactWays, reportSend } from "../../../src/actions/report/send.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";

const contacts: ContactWays = new Map([
  ["monitoring", ["email", "slack", "pagerduty"]],
  ["chat", ["slack"]],
]);
const seen = {
  average: 0.6,
  minimum: 0.5,
  maximum: 0.7,
  last: 0.6,
  slopePerDay: 0,
  coverage: 1,
  values: [0.5, null, 0.7],
  endsAt: "2026-11-23T07:00:00.000Z",
  stepSeconds: 2_520,
};
const input = { to: "monitoring", points: ["All is well."] };

async function planned(over: object) {
  const action = reportSend(contacts);
  const read = action.input.safeParse({ ...input, ...over });
  if (!read.success) throw new Error(JSON.stringify(read.error.issues));
  const plan = await action.plan(read.data, contextFor(null));
  if (plan.status !== "planned") throw new Error(plan.reason);
  return plan;
}

/** All that it has left to those who tell it. */
const told: unknown[] = [];

function telling(): ReturnType<typeof reportSend> {
  const action = reportSend(contacts);
  return {
    ...action,
    apply: async (plan, context) => {
      const outcome = await action.apply(plan, context);
      if (outcome.status === "done") told.push(outcome.report);
      return outcome;
    },
  };
}

describeContract("report.send", {
  input: { ...input, table: { columns: ["a"], rows: [["1"]] } },
  hostile: [
    {},
    { points: ["x"] },
    { ...input, to: "somebody" },
    { ...input, to: "a@example.net" },
    { ...input, points: [] },
    { ...input, points: ["a", "b", "c", "d"] },
    { ...input, channel: "#ops" },
    { ...input, plots: [{ title: "", unit: "seconds", of: seen }] },
    { ...input, plots: [{ title: "x", unit: "parsecs", of: seen }] },
    { ...input, plots: [{ title: "x", unit: "seconds", of: { ...seen, endsAt: "yesterday" } }] },
    { ...input, table: { columns: [], rows: [] } },
  ],
  healthy: () => ({ action: telling(), target: null }),
  gone: () => ({ subject: { action: reportSend(null), target: null }, named: "Add it to `contacts`" }),
  arrange: async () => {},
  state: async () => told.length,
});

test("a plan says whom it tells, by which ways and what; nobody is paged by a report", async () => {
  const plan = await planned({ points: ["One.", "Two."] });
  expect(plan.effects).toEqual(["report to monitoring by email and slack", "One.", "Two."]);
  expect(plan.plan.to).toEqual({ contact: "monitoring", ways: ["email", "slack"] });
});

test("a quiet report is not said in Slack, and where there is nothing else it stays with the run", async () => {
  expect((await planned({ quiet: true })).plan.to.ways).toEqual(["email"]);
  const alone = await planned({ to: "chat", quiet: true });
  expect(alone.plan.to.ways).toEqual([]);
  expect(alone.effects[0]).toBe("report at the run alone");
});

test("the report is the step's result, and says whom it is told to", async () => {
  const { plan } = await planned({ plots: [{ title: "Responses", unit: "seconds", of: { ...seen, change: 0.5 } }] });
  const outcome = await reportSend(contacts).apply(plan, contextFor(null));
  const { average, maximum, values, endsAt, stepSeconds } = seen;
  const shown = { average, maximum, values, endsAt, stepSeconds, change: 0.5, before: null };
  expect(outcome).toEqual({
    status: "done",
    result: { points: ["All is well."], table: null, plots: [{ title: "Responses", unit: "seconds", ...shown }] },
    report: { contact: "monitoring", ways: ["email", "slack"] },
  });
});

test("what is measured may be of any size: the report stays small, in single lines, and says what it leaves out", async () => {
  const rows = [["a\u0000\nb"], ["x".repeat(500), "", "1"], ...Array.from({ length: 18 }, (_, at) => [`row ${at}`])];
  const { report } = (await planned({ points: ["p".repeat(400), " \n "], table: { columns: ["", "n"], rows } })).plan;
  expect(report.points).toEqual([`${"p".repeat(299)}…`]);
  expect(report.table?.rows).toHaveLength(13);
  expect(report.table?.rows.slice(0, 2)).toEqual([
    ["a b", ""],
    [`${"x".repeat(159)}…`, "–"],
  ]);
  expect(report.table?.rows.at(-1)).toEqual(["… and 8 more", ""]);
  expect((await planned({ table: { columns: ["a"], rows: [] } })).plan.report.table).toBeNull();
});
