/** Makes a picture of a plot that every mail program shows, without a browser or a font of the machine. Loaded when first needed. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { setImmediate as letOthersGo } from "node:timers/promises";
import type { ReportPlot } from "../domain/report.ts";

/** Twice as many dots as pixels of a page: sharp on telephones. */
const zoom = 2;

interface Painter {
  paint(plot: ReportPlot): Buffer;
}

let painter: Promise<Painter> | null = null;
let started: Promise<void> | null = null;

/** The plot as a PNG. */
export async function plotPng(plot: ReportPlot): Promise<Buffer> {
  // What could not be read is read again for the next picture.
  painter ??= openPainter().catch((error: unknown) => {
    painter = null;
    throw error;
  });
  const { paint } = await painter;
  // It takes about a tenth of a second, in which nothing else goes on.
  await letOthersGo();
  return paint(plot);
}

async function openPainter(): Promise<Painter> {
  const { resolve } = createRequire(import.meta.url);
  const [{ initWasm, Resvg }, { plotSvg }, program, letters] = await Promise.all([
    import("@resvg/resvg-wasm"),
    import("./plot-svg.ts"),
    readFile(resolve("@resvg/resvg-wasm/index_bg.wasm")),
    readFile(resolve("@fontsource/inter/files/inter-latin-400-normal.woff2")),
  ]);
  // It is set up at most once in a process; a second time would be refused.
  started ??= initWasm(program).catch((error: unknown) => {
    started = null;
    throw error;
  });
  await started;
  const font = { fontBuffers: [letters], defaultFontFamily: "Inter" };
  return {
    paint: (plot) => {
      const drawn = new Resvg(plotSvg(plot), { font, fitTo: { mode: "zoom", value: zoom } });
      const image = drawn.render();
      try {
        return Buffer.from(image.asPng());
      } finally {
        image.free();
        drawn.free();
      }
    },
  };
}
