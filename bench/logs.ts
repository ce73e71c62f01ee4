/** How fast `logs.errors` reads a gibibyte of log, beside `grep -c` of the same file. */

import { execFile } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { logsErrors } from "../src/actions/logs/errors.ts";
import { temporaryFolder } from "../test/support/run-folder.ts";
import type { Ground } from "./ground.ts";
import { compare, figure, type Row } from "./row.ts";
import { median } from "./statistics.ts";

const rounds = 9;
const bytes = 1024 ** 3;
/** One entry in so many is an error with a traceback. */
const errorEvery = 100;

export async function logs(_: Ground): Promise<readonly Row[]> {
  const folder = await temporaryFolder("logs");
  const file = join(folder, "application.log");
  const errors = fill(file);
  const took = { ours: [] as number[], usual: [] as number[], grep: [] as number[], grepTwo: [] as number[] };
  const memory = process.memoryUsage().rss;
  let most = 0;
  // In turns, so that what else the machine does meanwhile is shared.
  for (let round = 0; round < rounds; round++) {
    took.grep.push(await timeOf(() => promisify(execFile)("grep", ["-c", "ERROR", file])));
    took.ours.push(await timeOf(() => count(file, ["ERROR"], errors)));
    took.grepTwo.push(await timeOf(() => promisify(execFile)("grep", ["-c", "-e", "ERROR", "-e", "CRITICAL", file])));
    took.usual.push(await timeOf(() => count(file, ["ERROR", "CRITICAL"], errors)));
    most = Math.max(most, process.memoryUsage().rss - memory);
  }
  rmSync(file);
  const speed = (seconds: readonly number[]) => 1 / median(seconds);
  const row = { unit: "GiB/s" };
  return [
    compare(
      {
        ...row,
        what: "scan 1 GiB of log for one text, beside grep -c",
        ours: speed(took.ours),
        baseline: speed(took.grep),
      },
      { atLeast: 0.5 },
    ),
    compare(
      {
        ...row,
        what: "scan 1 GiB of log for two texts, beside grep -c",
        ours: speed(took.usual),
        baseline: speed(took.grepTwo),
      },
      { atLeast: 0.5 },
    ),
    figure({ what: "scan 1 GiB of log: more memory", unit: "MiB", ours: most / 1024 ** 2 }),
  ];
}

/** As a Django site writes it; returns how many entries are errors. */
function fill(file: string): number {
  const into = openSync(file, "w");
  const begin = Date.now() - 24 * 3_600_000;
  let errors = 0;
  let lines: string[] = [];
  for (let size = 0, pending = 0, n = 1; size < bytes; n++) {
    const at = new Date(begin + n * 5).toISOString().replace("T", " ").replace(".", ",").slice(0, 23);
    const isError = n % errorEvery === 0;
    if (isError) errors++;
    const text = isError
      ? `${at} ERROR apps.core.views Internal Server Error: /tickets/${n}/\nTraceback (most recent call last):\n` +
        `  File "/srv/youtility3/apps/core/views.py", line ${n % 900}, in get\n    return self.render(request)\nValueError: no tree ${n}\n`
      : `${at} INFO django.request GET /tickets/${n}/ 200 in ${n % 97} ms for user ${n % 1_000} from 10.0.${n % 255}.${n % 251}\n`;
    lines.push(text);
    size += text.length;
    pending += text.length;
    if (pending < 1024 * 1024 && size < bytes) continue;
    writeSync(into, lines.join(""));
    [lines, pending] = [[], 0];
  }
  closeSync(into);
  return errors;
}

async function count(file: string, patterns: string[], errors: number): Promise<void> {
  const result = await logsErrors.observe(
    { sinceSeconds: 31_536_000, patterns, newest: 5 },
    {
      target: { name: "site", host: null, labels: {}, logs: { files: [file], timeZone: "UTC" } },
      signal: new AbortController().signal,
      log: { info: () => {}, warn: () => {} },
      now: Date.now,
    },
  );
  const total = result.status === "observed" ? result.output.total : -1;
  if (total !== errors) throw new Error(`${errors} errors were written, but: ${JSON.stringify(result).slice(0, 300)}`);
}

/** In seconds. */
async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
}
