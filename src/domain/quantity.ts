/** Numbers as people read them: three digits that count, in the unit that fits. */

/** What a number counts; `ratio`: 1 is all of it, and is written as 100 %. */
export type Unit = "seconds" | "bytes" | "ratio" | "number";

export const units = ["seconds", "bytes", "ratio", "number"] as const satisfies readonly Unit[];

/** A unit that is written: `per` is how much one of it is. */
export interface Scale {
  readonly per: number;
  /** Empty for plain numbers. */
  readonly name: string;
}

/** From which size on which scale is used, smallest first. */
const scales: Readonly<Record<Unit, readonly (readonly [from: number, per: number, name: string])[]>> = {
  seconds: [
    [0, 0.001, "ms"],
    [1, 1, "s"],
    [120, 60, "min"],
    [7_200, 3_600, "h"],
    [172_800, 86_400, "days"],
  ],
  bytes: ["B", "KiB", "MiB", "GiB", "TiB"].map((name, power) => [power && 1_024 ** power, 1_024 ** power, name]),
  ratio: [[0, 0.01, "%"]],
  number: [[0, 1, ""]],
};

/** The scale for numbers of which this is the largest. */
export function scaleOf(largest: number, unit: Unit): Scale {
  const [, per, name] = scales[unit].findLast(([from]) => Math.abs(largest) >= from) ?? [0, 1, ""];
  return { per, name };
}

/** `612 ms`, `1.5 GiB`, `80 %`, `12,345`. */
export function quantity(value: number, unit: Unit): string {
  return scaled(value, scaleOf(value, unit));
}

/** The value in this scale, whatever its size. */
export function scaled(value: number, { per, name }: Scale): string {
  return `${shortened(value / per)}${name && ` ${name}`}`;
}

/** By how much something differs, as a part of what it was: `+49 %`, `−3 %`, `±0 %`. */
export function difference(ratio: number): string {
  const percent = Math.round(Math.abs(ratio) * 100);
  const sign = percent === 0 ? "±" : ratio > 0 ? "+" : "−";
  return `${sign}${percent.toLocaleString("en")} %`;
}

function shortened(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return value.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");
}
