/** One line of the table: what was measured, beside its raw baseline, and whether it is within what is required. */

export interface Row {
  readonly what: string;
  readonly unit: string;
  /** NaN where it could not be measured. */
  readonly ours: number;
  /** The same work done raw, in the same run; null where there is nothing to compare with. */
  readonly baseline: number | null;
  readonly ratio: number | null;
  /** As in ">= 0.6"; null where the figure is only printed. */
  readonly required: string | null;
  readonly ok: boolean | null;
  /** Why it could not be measured here, and what to do. */
  readonly leftOut?: string;
  /** Milliseconds. */
  readonly p50?: number;
  readonly p99?: number;
}

export interface Limit {
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** Sets two figures in relation and holds the relation to its limit, if there is one. */
export function compare(
  row: Pick<Row, "what" | "unit" | "ours" | "p50" | "p99"> & { readonly baseline: number },
  limit: Limit = {},
): Row {
  const ratio = row.ours / row.baseline;
  const { atLeast, atMost } = limit;
  if (atLeast !== undefined) return { ...row, ratio, required: `>= ${atLeast}`, ok: ratio >= atLeast };
  if (atMost !== undefined) return { ...row, ratio, required: `<= ${atMost}`, ok: ratio <= atMost };
  return { ...row, ratio, required: null, ok: null };
}

/** A figure that is only printed. */
export function figure(row: Pick<Row, "what" | "unit" | "ours" | "p50" | "p99">): Row {
  return { ...row, baseline: null, ratio: null, required: null, ok: null };
}

/** A requirement that cannot be measured on this machine: it is told, and never counts as met. */
export function leftOut(row: Pick<Row, "what" | "unit" | "required">, why: string): Row {
  return { ...row, ours: Number.NaN, baseline: null, ratio: null, ok: null, leftOut: why };
}
