/** Makes a report of what a playbook gives: what is measured may be of any size, what people read is not. */

import type { Unit } from "../../domain/quantity.ts";
import type { Report, ReportPlot, ReportTable, ReportWindow } from "../../domain/report.ts";

const longestPoint = 300;
const longestCell = 160;
const mostRows = 12;
const none = "–";

/** What a playbook gives. */
export interface Given {
  readonly points: readonly string[];
  readonly table?: ReportTable | undefined;
  readonly plots: readonly {
    readonly title: string;
    readonly unit: Unit;
    readonly of: ReportWindow & {
      readonly endsAt: string;
      readonly stepSeconds: number;
      readonly before?: ReportWindow | undefined;
      readonly change?: number | undefined;
    };
  }[];
}

/** The report: texts within bounds, every row as long as the head, the rows beyond the twelfth counted. */
export function reportOf({ points, table, plots }: Given): Report {
  return {
    points: points.map((point) => short(point, longestPoint)).filter((point) => point !== ""),
    table: table && table.rows.length > 0 ? tableOf(table) : null,
    plots: plots.map(({ title, unit, of: { before, change, ...now } }): ReportPlot => {
      return { title, unit, ...now, before: before ?? null, change: change ?? null };
    }),
  };
}

function tableOf({ columns, rows }: ReportTable): ReportTable {
  const asLong = (cells: readonly string[]) =>
    columns.map((_, at) => {
      const cell = cells[at];
      return cell === undefined ? "" : short(cell, longestCell) || none;
    });
  const left = rows.length - mostRows;
  const shown = rows.slice(0, mostRows).map(asLong);
  return { columns, rows: left > 0 ? [...shown, asLong([`… and ${left} more`])] : shown };
}

/** One line, which Postgres can store. */
function short(text: string, longest: number): string {
  const line = text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
  if (line.length <= longest) return line;
  return `${line.slice(0, longest - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
