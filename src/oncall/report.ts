/** A report as people are told it, whichever way: its title, what it says, and its numbers as a table. */

import type { Followed } from "../domain/followed.ts";
import { difference, quantity } from "../domain/quantity.ts";
import type { Report, ReportPlot, ReportTable } from "../domain/report.ts";
import { oneLine } from "./one-line.ts";
import type { Message, Subject } from "./way.ts";

/** Of a plot, in pixels of a page. It is small, with large letters: it can be read where a telephone makes it smaller. */
export const plotSize = { width: 480, height: 224 } as const;

/** What is told. The title is made of the names of the playbook and the target, and of nothing that was measured. */
export interface ToldReport {
  readonly run: string;
  /** The step that reports. */
  readonly step: string;
  readonly title: string;
  /** `2026-11-23`: the day on which the run began. */
  readonly day: string;
  readonly report: Report;
  readonly url: string | null;
}

/** The report that a message of the topic `report` is about; null where the run's history has none. */
export function reportIn(message: Message, { run, playbook, target, story, url }: Subject): ToldReport | null {
  const reported = story.findLast((event) => event.type === "step-finished" && event.step === message.about);
  if (reported?.type !== "step-finished" || !reported.report) return null;
  const name = playbook.replaceAll("-", " ");
  const of = target === null ? "" : ` of ${target}`;
  return {
    run,
    step: reported.step,
    title: oneLine(`${name.charAt(0).toUpperCase()}${name.slice(1)}${of}`, 120),
    day: (story[0]?.at ?? reported.at).slice(0, 10),
    report: reported.result as unknown as Report,
    url,
  };
}

/** Where the history has no such report. */
export function noReport({ place, shownSeq }: Message): Followed {
  return { ok: false, reason: "the run has no such report", retryable: false, place, shownSeq };
}

/** `7 days`: how long a window of the plot is. */
export function spanOf({ values, stepSeconds }: ReportPlot): string {
  return quantity(values.length * stepSeconds, "seconds");
}

const unknown = "–";

/** What the plots show, in numbers: one row each; null where there are none. */
export function numbersOf(plots: readonly ReportPlot[]): ReportTable | null {
  const spans = new Set(plots.map(spanOf));
  const [span] = spans;
  if (span === undefined) return null;
  const [now, then] = spans.size === 1 ? [`last ${span}`, `${span} before`] : ["average", "before"];
  const isCompared = plots.some(({ before }) => before !== null);
  const compared = ({ before, unit, change }: ReportPlot) => [
    before ? quantity(before.average, unit) : unknown,
    change === null ? unknown : difference(change),
  ];
  return {
    columns: ["", now, ...(isCompared ? [then, "change"] : []), "highest"],
    rows: plots.map((plot) => [
      plot.title,
      quantity(plot.average, plot.unit),
      ...(isCompared ? compared(plot) : []),
      quantity(plot.maximum, plot.unit),
    ]),
  };
}
