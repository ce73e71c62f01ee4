import { difference, quantity, scaled, scaleOf } from "../../src/domain/quantity.ts";

test.each([
  [0, "seconds", "0 ms"],
  [0.0004, "seconds", "0.4 ms"],
  [0.6123, "seconds", "612 ms"],
  [1, "seconds", "1 s"],
  [1.534, "seconds", "1.53 s"],
  [119, "seconds", "119 s"],
  [5_400, "seconds", "90 min"],
  [86_400, "seconds", "24 h"],
  [604_800, "seconds", "7 days"],
  [512, "bytes", "512 B"],
  [1_536, "bytes", "1.5 KiB"],
  [-31_457_280, "bytes", "−30 MiB"],
  [3_221_225_472, "bytes", "3 GiB"],
  [5e15, "bytes", "4,547 TiB"],
  [0.8, "ratio", "80 %"],
  [0.004, "ratio", "0.4 %"],
  [1, "ratio", "100 %"],
  [12_345.6, "number", "12,346"],
  [2.345, "number", "2.35"],
  [Number.POSITIVE_INFINITY, "number", "Infinity"],
] as const)("%d %s are read as %s", (value, unit, words) => {
  expect(quantity(value, unit)).toBe(words);
});

test.each([
  [0.493, "+49 %"],
  [-0.2, "−20 %"],
  [0.004, "±0 %"],
  [-0.004, "±0 %"],
  [12.5, "+1,250 %"],
])("a difference of %d is %s", (ratio, words) => {
  expect(difference(ratio)).toBe(words);
});

test("numbers of one axis are in one unit, that of the largest", () => {
  const scale = scaleOf(1.2, "seconds");
  expect([0, 0.4, 1.2].map((value) => scaled(value, scale))).toEqual(["0 s", "0.4 s", "1.2 s"]);
});
