/** Draws one number over a window beside the window before it: two lines over one axis of time, in UTC, as an SVG. */

import { scaleLinear, scaleUtc } from "d3-scale";
import { line } from "d3-shape";
import { scaled, scaleOf } from "../domain/quantity.ts";
import type { ReportPlot } from "../domain/report.ts";
import { plotSize, spanOf } from "./report.ts";

const inner = { left: 66, right: 468, top: 34, bottom: 196 } as const;
const letters = `font-family="Inter" font-size="13"`;
const colours = { now: "#1d4ed8", before: "#9aa4b2", grid: "#e5e7eb", text: "#4b5563" } as const;
const dayMs = 86_400_000;

/** The plot. Where values are missing, its lines have gaps; a value that stands alone is a dot. No text in it but numbers, units and times. */
export function plotSvg(plot: ReportPlot): string {
  const { values, before, unit, endsAt, stepSeconds } = plot;
  const stepMs = stepSeconds * 1_000;
  const end = Date.parse(endsAt);
  const start = end - (values.length - 1) * stepMs;
  const known = [...values, ...(before?.values ?? [])].filter((value) => value !== null);
  const largest = Math.max(...known.map(Math.abs), 0);
  const scale = scaleOf(largest, unit);
  const x = scaleUtc().domain([start, end]).range([inner.left, inner.right]);
  const y = scaleLinear()
    .domain(
      domainOf(
        known.map((value) => value / scale.per),
        unit === "bytes",
      ),
    )
    .nice(4)
    .range([inner.bottom, inner.top]);
  const path = (of: readonly (number | null)[]) =>
    line<number | null>()
      .defined((value) => value !== null)
      .x((_, at) => x(start + at * stepMs))
      .y((value) => y((value ?? 0) / scale.per))
      .digits(1)([...of]) ?? "";
  const dots = (of: readonly (number | null)[], colour: string) =>
    of.flatMap((value, at) => {
      if (value === null || (of[at - 1] ?? null) !== null || (of[at + 1] ?? null) !== null) return [];
      const [left, top] = [x(start + at * stepMs), y(value / scale.per)];
      return [`<circle cx="${left.toFixed(1)}" cy="${top.toFixed(1)}" r="3" fill="${colour}"/>`];
    });
  const stroke = (of: readonly (number | null)[], colour: string, width: number) =>
    `<path d="${path(of)}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linejoin="round" stroke-linecap="round"/>`;
  const horizontal = y.ticks(4).map((tick) => {
    const at = y(tick).toFixed(1);
    const rule = `<path d="M${inner.left} ${at}H${inner.right}" stroke="${colours.grid}"/>`;
    return rule + text(inner.left - 8, y(tick) + 4.5, scaled(tick * scale.per, scale), "end");
  });
  const times = x.ticks(6).map((tick) => {
    const at = x(tick);
    const mark = `<path d="M${at.toFixed(1)} ${inner.bottom}v4" stroke="${colours.before}"/>`;
    const word = timeOf(tick, end - start);
    return mark + text(Math.min(at, plotSize.width - 4 - 3.5 * word.length), inner.bottom + 20, word, "middle");
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${plotSize.width}" height="${plotSize.height}" viewBox="0 0 ${plotSize.width} ${plotSize.height}" ${letters} fill="${colours.text}">`,
    `<rect width="${plotSize.width}" height="${plotSize.height}" fill="#ffffff"/>`,
    ...legend(spanOf(plot), before !== null),
    ...horizontal,
    ...times,
    text(12, inner.bottom + 20, "UTC", "start"),
    ...(before ? [stroke(before.values, colours.before, 1.5), ...dots(before.values, colours.before)] : []),
    stroke(values, colours.now, 2),
    ...dots(values, colours.now),
    "</svg>",
  ].join("\n");
}

/** From 0, so that little is not shown as much; what grows is seen only in its own range. */
function domainOf(values: readonly number[], isGrowing: boolean): [number, number] {
  const highest = Math.max(...values, 0);
  const lowest = isGrowing ? Math.min(...values) : Math.min(...values, 0);
  return highest > lowest ? [lowest, highest] : [Math.min(lowest, 0), Math.max(highest, 0) || 1];
}

function legend(span: string, hasBefore: boolean): readonly string[] {
  const entry = (at: number, colour: string, words: string) =>
    `<path d="M${at} 14h18" stroke="${colour}" stroke-width="3" stroke-linecap="round"/>${text(at + 25, 18.5, words, "start")}`;
  const before = hasBefore ? [entry(inner.left + 150, colours.before, `${span} before`)] : [];
  return [entry(inner.left + 2, colours.now, `last ${span}`), ...before];
}

function text(x: number, y: number, words: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${words}</text>`;
}

/** As exact as the window is long. */
function timeOf(time: Date, windowMs: number): string {
  const parts: Intl.DateTimeFormatOptions =
    windowMs <= 2.5 * dayMs
      ? { hour: "2-digit", minute: "2-digit" }
      : windowMs <= 10 * dayMs
        ? { weekday: "short", day: "numeric" }
        : { day: "numeric", month: "short" };
  return time.toLocaleString("en-GB", { ...parts, timeZone: "UTC" });
}
