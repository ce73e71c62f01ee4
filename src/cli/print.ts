/** How runs and approvals look in a terminal: aligned, one line each, without anything a terminal would obey. */

import type { RunEvent } from "../domain/event.ts";
import { tell, whenReverted } from "../domain/story.ts";

export interface ListedRun {
  readonly id: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly state: string;
  readonly waitingFor: string | null;
  readonly outcome: string | null;
  readonly createdAt: string;
}

export interface ShownApproval {
  readonly id: string;
  readonly step: string;
  readonly digest: string;
  readonly state: string;
  readonly effects: readonly string[];
  readonly expiresAt: string;
}

export interface ShownRun extends ListedRun {
  readonly approvals: readonly ShownApproval[];
  readonly events: readonly RunEvent[];
  readonly brokenAt?: number | null;
}

export interface ShownMitigation {
  readonly id: string;
  readonly runId: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly effects: readonly string[];
  readonly state: string;
  readonly revertAt: string | null;
  readonly onResolved: boolean;
  readonly onEnd?: readonly string[];
  readonly revertRun: string | null;
}

/** A temporary change, and what it changed. */
export function mitigationLines(one: ShownMitigation): readonly string[] {
  const until =
    one.state === "in-force"
      ? `, put back ${whenReverted(one)}`
      : one.revertRun === null
        ? ""
        : ` by run ${one.revertRun}`;
  const where = `${one.playbook}${one.target === null ? "" : ` on ${one.target}`}`;
  return [plain(`${one.id}  ${one.state}${until}  ${where}`), ...one.effects.map((effect) => plain(`    ${effect}`))];
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control and direction characters in labels must not move the cursor or turn text around
const unprintable = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The text with a dot for everything that a terminal would obey. */
export function plain(text: string): string {
  return text.replace(unprintable, "\u00b7");
}

/** One line for each run, newest first. */
export function runLines(runs: readonly ListedRun[]): readonly string[] {
  const rows = runs.map((run) => [run.createdAt.slice(0, 19), run.id, standing(run), run.playbook, run.target ?? "-"]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(0, ...rows.map((row) => (row[column] as string).length)));
  return rows.map((row) =>
    plain(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    ),
  );
}

function standing(run: ListedRun): string {
  if (run.outcome !== null) return run.outcome;
  return run.waitingFor === null ? run.state : `waits: ${run.waitingFor}`;
}

/** The story of some events. */
export function storyLines(events: readonly RunEvent[]): readonly string[] {
  return events.flatMap((event) => {
    const { at, text, details } = tell(event);
    return [`${at.slice(11, 19)}  ${plain(text)}`, ...details.map((line) => `            - ${plain(line)}`)];
  });
}

/** What a person is about to decide. */
export function approvalLines(approval: ShownApproval): readonly string[] {
  return [
    `step ${approval.step} would do ${approval.effects.length === 1 ? "this" : `these ${approval.effects.length} things`}:`,
    ...approval.effects.map((line) => `  - ${plain(line)}`),
    `plan ${approval.digest}`,
    `to be decided until ${approval.expiresAt}`,
  ];
}
