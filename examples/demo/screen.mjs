/** Prints the demo's story: headings, aligned columns, wrapped lines. Colours only on a terminal that wants them. */

import { styleText } from "node:util";

const isTerminal = process.stdout.isTTY === true;
const coloured = isTerminal && !process.env["NO_COLOR"];

/** Paints text on a terminal and leaves it alone elsewhere. `style` is one of Node's own names, such as `bold`. */
export function paint(style, text) {
  return coloured ? styleText(style, text) : text;
}

/** A heading, with what it is about after a colon. */
export function heading(title, about = "") {
  console.log(`\n${paint("bold", title)}${about ? `: ${about}` : ""}`);
}

/** Rows of cells as aligned columns, two blanks apart. */
export function table(rows, style = (_row, line) => line) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    const line = row.map((cell, column) => cell.padEnd(widths[column])).join("  ");
    console.log(`  ${style(row, line.trimEnd())}`);
  }
}

/** Names and what is to be said of each, as two columns, the second one wrapped. */
export function list(rows) {
  const column = Math.max(...rows.map(([name]) => name.length)) + 4;
  for (const [name, text] of rows) {
    const [first, ...rest] = wrap(text, width() - column);
    console.log(`  ${paint("bold", name)}${" ".repeat(column - 2 - name.length)}${first}`);
    for (const line of rest) console.log(" ".repeat(column) + line);
  }
}

/** One line of the story: when, who (`room` characters wide), what; further lines stand below what. */
export function happened({ after, who, what, more = [], style, room = 9 }) {
  const when = `+${(after / 1_000).toFixed(1)} s`.padStart(8);
  const start = `${when}  ${who.padEnd(room)} `;
  const [first, ...rest] = wrap(what, width() - start.length);
  console.log(paint("dim", when) + start.slice(when.length) + (style ? paint(style, first) : first));
  for (const line of [...rest, ...more.flatMap((text) => wrap(text, width() - start.length - 4, "  "))]) {
    console.log(" ".repeat(start.length) + line);
  }
}

/** Counts seconds down in one place on a terminal; elsewhere says once what is waited for. */
export async function countdown(text, until) {
  const left = () => Math.max(0, Math.ceil((until - Date.now()) / 1_000));
  if (!isTerminal) console.log(`  ${text}`);
  for (; Date.now() < until; await new Promise((resolve) => setTimeout(resolve, 200))) {
    if (isTerminal) process.stdout.write(`\r  ${text} ${paint("dim", `${left()} s`)} `);
  }
  if (isTerminal) process.stdout.write(`\r  ${text}     \n`);
}

/** The columns that there are; 120 at most. */
export function width() {
  return Math.min(process.stdout.columns ?? 100, 120);
}

/** Text as lines of less than `room` characters, broken between words. */
export function wrap(text, room, indent = "") {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.length - 1;
    if (lines[last].length > 0 && lines[last].length + word.length >= room) lines.push(indent + word);
    else lines[last] += lines[last] === "" ? word : ` ${word}`;
  }
  return lines;
}
