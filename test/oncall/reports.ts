/** Reports, their plots and the runs that made them, for the tests of the ways that tell them. */

import type { Report, ReportPlot } from "../../src/domain/report.ts";
import { subjectOf } from "../../src/oncall/notice.ts";
import type { Message, Subject } from "../../src/oncall/way.ts";
import { happened, historyOf } from "../support/builders.ts";
import { messageOf, run } from "./notices.ts";

type Values = readonly (number | null)[];

const windowOf = (values: Values) => {
  const known = values.filter((value) => value !== null);
  return {
    average: known.reduce((sum, value) => sum + value, 0) / known.length,
    maximum: Math.max(...known),
    values,
  };
};

/** A plot of these values; the newest is of the morning of 23 November 2026, a Monday. */
export function plotOf(
  over: Partial<Omit<ReportPlot, "values" | "before">> & { readonly values?: Values; readonly before?: Values } = {},
): ReportPlot {
  const { values = [0.5, 0.6, 0.7], before, ...rest } = over;
  return {
    title: "95 % of responses within",
    unit: "seconds",
    endsAt: "2026-11-23T07:00:00.000Z",
    stepSeconds: 2_520,
    change: null,
    ...windowOf(values),
    before: before ? windowOf(before) : null,
    ...rest,
  };
}

export function reportOf(over: Partial<Report> = {}): Report {
  return { points: ["Warning: responses become slower.", "All else is well."], table: null, plots: [], ...over };
}

/** The run that reported, by its step `say`. */
export function reportedBy(report: Report, target: string | null = "youtility3"): Subject {
  const [, ...later] = historyOf(
    happened.started("d1", "say"),
    { type: "step-finished", step: "say", result: report, durationMs: 1, report: { contact: "monitoring", ways: [] } },
    happened.ended("nothing-to-do"),
  );
  const trigger = { kind: "schedule", due: "2026-11-23T07:00:00.000Z" } as const;
  const created = happened.created({ playbook: "weekly-report", target, trigger });
  const story = [{ seq: 1, at: "2026-11-23T07:00:01.000Z", ...created }, ...later];
  const around = { summary: null, publicUrl: "https://paramedic.example.net", listenUrl: "http://127.0.0.1:9095" };
  return subjectOf(run, story, around) as Subject;
}

export function reportMessage(over: Partial<Message> = {}): Message {
  return messageOf({ topic: "report", about: "say", policy: "monitoring", ...over });
}
