/** The HTML part of a mail that reports: one narrow column, the plots as pictures that come with the mail. */

import type { ReportTable } from "../domain/report.ts";
import { escaped } from "./email-html.ts";
import { oneLine } from "./one-line.ts";
import { numbersOf, plotSize, type ToldReport } from "./report.ts";

const grey = "#5b6472";
const rule = "border-bottom:1px solid #e5e7eb";
const longestLine = 300;

/** The HTML part, everything of it escaped. `pictures` are the content ids of the plots, in their order. */
export function reportHtml({ title, day, report, run, url }: ToldReport, pictures: readonly string[]): string {
  const numbers = numbersOf(report.plots);
  const plots = report.plots.map((plot, at) => {
    const row = numbers?.rows[at] ?? [];
    return picture(
      plot.title,
      pictures[at] ?? "",
      row.map((cell, column) => `${numbers?.columns[column]} ${cell}`.trim()).join(", "),
    );
  });
  const read = url === null ? `<code>paramedic show ${run}</code>` : `<a href="${escaped(url)}">Read the run</a>`;
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(title)}</title>`,
    `<meta name="viewport" content="width=device-width, initial-scale=1"></head>`,
    `<body style="margin:0;padding:20px 16px;background:#ffffff;font:16px/1.45 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;color:#1f2933">`,
    `<div style="max-width:600px;margin:0 auto">`,
    `<h1 style="font-size:22px;line-height:1.25;margin:0">${escaped(title)}</h1>`,
    `<p style="margin:2px 0 16px;color:${grey};font-size:14px">${escaped(day)}</p>`,
    `<ul style="margin:0 0 20px;padding:12px 12px 12px 32px;background:#f3f6fb;border-left:4px solid #1d4ed8">`,
    ...report.points.map((point) => `<li style="padding:3px 0">${shown(point)}</li>`),
    "</ul>",
    report.table ? tableOf(report.table) : "",
    numbers ? tableOf(numbers) : "",
    ...plots,
    `<p style="margin:24px 0 0;color:${grey};font-size:13px">${read}</p>`,
    "</div></body></html>\n",
  ].join("\n");
}

function picture(title: string, id: string, words: string): string {
  return (
    `<h2 style="font-size:16px;margin:24px 0 6px">${shown(title)}</h2>` +
    `<img src="cid:${id}" alt="${escaped(oneLine(words, longestLine))}" width="${plotSize.width}" style="display:block;width:100%;max-width:600px;height:auto;border:0">`
  );
}

function tableOf({ columns, rows }: ReportTable): string {
  const numeric = columns.map((_, at) => at > 0 && rows.every((cells) => /^(?:[-−+±]?\d|–?$)/.test(cells[at] ?? "")));
  const side = (at: number) =>
    numeric[at] ? "text-align:right;white-space:nowrap" : "text-align:left;overflow-wrap:break-word";
  const pad = (at: number) => `padding:7px 0 7px ${at === 0 ? 0 : 10}px;vertical-align:top`;
  const head = columns.map(
    (name, at) =>
      `<th style="${pad(at)};${numeric[at] ? "text-align:right" : "text-align:left"};${rule};color:${grey};font-weight:normal;font-size:13px;vertical-align:bottom">${shown(name)}</th>`,
  );
  const body = rows.map((cells) => {
    const shownCells = cells.map((cell, at) => `<td style="${pad(at)};${side(at)};${rule}">${shown(cell)}</td>`);
    return `<tr>${shownCells.join("")}</tr>`;
  });
  return `<table style="border-collapse:collapse;width:100%;margin:0 0 16px;font-size:14px"><thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody></table>`;
}

/** A line in which a number stays with its unit, and what is long may break where its parts end. */
function shown(text: string): string {
  return escaped(oneLine(text, longestLine))
    .replace(/(\d) (?=(?:%|ms|s|min|h|days|B|[KMGT]iB)(?!\w))/g, "$1&nbsp;")
    .replace(/\S{24,}/g, (word) => word.replace(/[_.,/(=]/g, "$&<wbr>"));
}
