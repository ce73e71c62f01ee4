/** A report for people: up to three sentences, a small table, and what numbers did over time. Plain JSON, kept with its run. */

import type { Unit } from "./quantity.ts";

/** What a number did over one window. A value is null where nothing is known of that time. */
export type ReportWindow = {
  readonly average: number;
  readonly maximum: number;
  readonly values: readonly (number | null)[];
};

/** One number over a window, beside the window before it. */
export type ReportPlot = ReportWindow & {
  readonly title: string;
  readonly unit: Unit;
  /** RFC 3339: the time of the last of `values`; they are `stepSeconds` apart. */
  readonly endsAt: string;
  readonly stepSeconds: number;
  /** The window before, as long; null where nothing is known of it. */
  readonly before: ReportWindow | null;
  /** By how much the average differs from the one before; null where that cannot be said. */
  readonly change: number | null;
};

export type ReportTable = {
  readonly columns: readonly string[];
  /** Each has as many cells as there are columns. */
  readonly rows: readonly (readonly string[])[];
};

export type Report = {
  readonly points: readonly string[];
  readonly table: ReportTable | null;
  readonly plots: readonly ReportPlot[];
};

/** Whom a report is told to: a contact of the configuration, and by which of its ways. */
export type ReportTo = {
  readonly contact: string;
  readonly ways: readonly string[];
};
