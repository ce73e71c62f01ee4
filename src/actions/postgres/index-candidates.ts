/** Which columns an index would have to have for a scan of a whole table to become a search: pure reading of a plan. */

import type { PlanNode } from "./explain-plan.ts";

/** Where an index would find more than this part of a table, reading the whole table is no worse. */
const mostSelected = 0.2;

/** Columns that would narrow a scan, in the order of a B-tree: those compared for equality, then one of a range. */
export function columnsOf(node: Pick<PlanNode, "alias" | "table" | "filter">, columns: readonly string[]): string[] {
  const equal: string[] = [];
  const ranged: string[] = [];
  for (const column of columns) {
    const operator = operatorOn(node, column);
    if (operator === "=") equal.push(column);
    else if (operator !== null) ranged.push(column);
  }
  return [...equal, ...ranged.slice(0, 1)];
}

/** Whether the scan reads much to keep little. */
export function isWasteful(node: PlanNode, tableRows: number, minRows: number): boolean {
  if (node.node !== "Seq Scan" || node.filter === "" || tableRows < minRows) return false;
  return node.rows <= tableRows * mostSelected;
}

/** How a filter compares a column: `=`, another operator of a B-tree, or null. An OR may need several indexes: null. */
function operatorOn(
  { alias, table, filter }: Pick<PlanNode, "alias" | "table" | "filter">,
  column: string,
): string | null {
  if (/\sOR\s/.test(filter)) return null;
  const relation = alternatives(alias === "" ? table : alias);
  const found = new RegExp(
    `(?:^|[^\\w.])\\(*${relation}\\.${alternatives(column)}\\)*(?:::[a-z ]+)?\\)* (=|<=|>=|<|>) `,
  ).exec(filter);
  return found?.[1] ?? null;
}

/** A name as the server prints it, with or without quotes, as a pattern. */
function alternatives(name: string): string {
  const quoted = literally(`"${name.replaceAll('"', '""')}"`);
  return `(?:${quoted}|${literally(name)})`;
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
