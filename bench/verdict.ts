/** What the benchmarks come to: which requirements were missed, and which were not measured at all. */

import type { Row } from "./row.ts";

export interface Verdict {
  /** For people, one line for each that was missed or left out; then how it stands. */
  readonly lines: readonly string[];
  /** 1 in CI where anything was missed or left out. Elsewhere 0: a machine that is busy with other things proves nothing. */
  readonly exitCode: 0 | 1;
}

export function verdictOn(rows: readonly Row[], inCi: boolean): Verdict {
  const required = rows.filter((row) => row.required !== null);
  const leftOut = required.filter((row) => row.leftOut !== undefined);
  const missed = required.filter((row) => row.leftOut === undefined && row.ok !== true);
  const summary =
    missed.length + leftOut.length === 0
      ? `All ${required.length} requirements were met.`
      : `Of ${required.length} requirements ${missed.length} were missed and ${leftOut.length} left out.`;
  return {
    lines: [
      ...missed.map(({ what, required: limit }) => `MISSED: ${what} (${limit})`),
      ...leftOut.map(({ what, leftOut: why }) => `LEFT OUT: ${what}: ${why}`),
      summary,
    ],
    exitCode: inCi && missed.length + leftOut.length > 0 ? 1 : 0,
  };
}
