/** The text part of a mail that reports. Every line that is not ours is indented, so that none can pass for a heading. */

import type { ReportTable } from "../domain/report.ts";
import { oneLine } from "./one-line.ts";
import { numbersOf, type ToldReport } from "./report.ts";

const longestLine = 300;
const longestCell = 60;

/** The text part; what the plots show is in it as numbers. */
export function reportText({ title, day, report, run, url }: ToldReport): string {
  const parts: readonly (readonly string[])[] = [
    [`${title}, ${day}`],
    report.points.map((point) => `  * ${oneLine(point, longestLine)}`),
    report.table ? lines(report.table) : [],
    lines(numbersOf(report.plots)),
    [url === null ? `Read the run: paramedic show ${run}` : `Read the run: ${url}`],
  ];
  return `${parts
    .filter((part) => part.length > 0)
    .map((part) => part.join("\n"))
    .join("\n\n")}\n`;
}

/** A table in columns, for letters that are all as wide. */
function lines(table: ReportTable | null): readonly string[] {
  if (!table) return [];
  const rows = [table.columns, ...table.rows].map((cells) => cells.map((cell) => oneLine(cell, longestCell)));
  const widths = table.columns.map((_, at) => Math.max(...rows.map((cells) => cells[at]?.length ?? 0)));
  return rows.map((cells) => `  ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ")}`.trimEnd());
}
