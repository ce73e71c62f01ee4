/** The picture of a plot: what could not be read once is read again for the next one. */

import { readFile } from "node:fs/promises";
import { plotPng } from "../../src/oncall/plot-png.ts";
import { plotOf } from "./reports.ts";

jest.mock("node:fs/promises", () => {
  const real = jest.requireActual("node:fs/promises");
  return { ...real, readFile: jest.fn(real.readFile) };
});

const plot = plotOf({ title: "Cache hit rate", unit: "ratio", values: [0.8] });

test("a file that cannot be read once costs one picture, and not those that come after it", async () => {
  jest.mocked(readFile).mockRejectedValueOnce(new Error("EMFILE: too many open files"));
  await expect(plotPng(plot)).rejects.toThrow("EMFILE");
  const png = await plotPng(plot);
  expect([...png.subarray(1, 4)]).toEqual([..."PNG"].map((letter) => letter.charCodeAt(0)));
  expect(await plotPng(plot)).toEqual(png);
});
