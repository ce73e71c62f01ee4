/** Prints rows as a table of plain text. */

import type { Row } from "./row.ts";

const headings = ["what", "ours", "baseline", "unit", "ratio", "required", "", "p50 ms", "p99 ms"];

/** The rows under their headings; numbers are rounded to what can be trusted. */
export function tableOf(rows: readonly Row[]): string {
  const lines = [headings, ...rows.map(cellsOf)];
  const widths = headings.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => (isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function cellsOf(row: Row): readonly string[] {
  return [
    row.what,
    rounded(row.ours),
    rounded(row.baseline),
    row.unit,
    row.ratio === null ? "" : row.ratio.toFixed(2),
    row.required ?? "",
    verdictOf(row),
    rounded(row.p50 ?? null),
    rounded(row.p99 ?? null),
  ];
}

function verdictOf({ ok, leftOut }: Row): string {
  if (leftOut !== undefined) return "LEFT OUT";
  return ok === null ? "" : ok ? "ok" : "MISSED";
}

function isText(column: number): boolean {
  return column === 0 || column === 3 || column === 6;
}

function rounded(value: number | null): string {
  if (value === null || Number.isNaN(value)) return "";
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(value >= 10 ? 1 : 2);
}
