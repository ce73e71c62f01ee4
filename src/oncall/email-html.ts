/** The HTML part of a mail: one narrow column without pictures, scripts or links of anybody else's. */

import type { Telling } from "../domain/story.ts";
import type { MailContent } from "./email-text.ts";
import type { NoticeAction } from "./way.ts";

const colours: Readonly<Record<Telling["tone"], string>> = {
  plain: "#222222",
  good: "#1a7f37",
  bad: "#b42318",
  ask: "#8a5a00",
};
const grey = "color:#666666";
const code = "font-family:monospace;font-size:14px;background:#f3f3f3;padding:8px;word-break:break-all";

/** The HTML part, everything of it escaped. */
export function mailHtml(content: MailContent): string {
  const title = escaped(content.title);
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>`,
    `<meta name="viewport" content="width=device-width, initial-scale=1"></head>`,
    `<body style="margin:0;padding:16px;font:16px/1.4 sans-serif;color:${colours.plain}">`,
    `<div style="max-width:640px"><h1 style="font-size:20px;margin:0 0 8px">${title}</h1>`,
    `<p>${escaped(content.opening)}</p>`,
    table(content.facts),
    content.url === null ? "" : `<p><a href="${escaped(content.url)}">Read the run</a></p>`,
    content.question === null ? "" : heading(content.question.heading) + list(content.question.effects),
    ...content.actions.map(action),
    `${heading("What was done")}<ol style="padding-left:24px">${content.story.map(entry).join("")}</ol>`,
    content.annotations.length > 0 ? heading("Annotations of the alert") + table(content.annotations) : "",
    content.labels.length > 0 ? heading("Labels of the alert") + table(content.labels) : "",
    "</div></body></html>\n",
  ].join("\n");
}

function action({ label, command, request }: NoticeAction): string {
  const blocks = [command, request].map((line) => `<p style="${code}">${escaped(line)}</p>`);
  return `${heading(label)}<p>By one of these:</p>${blocks.join("")}`;
}

function entry({ at, text, details, tone }: Telling): string {
  const lines = details.length === 0 ? "" : list(details);
  return `<li style="color:${colours[tone]}"><small style="${grey}">${escaped(at)}</small><br>${escaped(text)}${lines}</li>`;
}

function list(lines: readonly string[]): string {
  return `<ul style="padding-left:20px">${lines.map((line) => `<li>${escaped(line)}</li>`).join("")}</ul>`;
}

function table(rows: MailContent["facts"]): string {
  const cells = rows.map(
    ([name, value]) =>
      `<tr><td style="${grey};padding:2px 12px 2px 0;vertical-align:top">${escaped(name)}</td>` +
      `<td style="word-break:break-word">${escaped(value)}</td></tr>`,
  );
  return `<table style="border-collapse:collapse;font-size:16px">${cells.join("")}</table>`;
}

function heading(text: string): string {
  return `<h2 style="font-size:17px;margin:20px 0 4px">${escaped(text)}</h2>`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** The text as it may stand in HTML and in its attributes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] as string);
}
