/**
 * Runs every test and prints what it came to as the last line. Where CI=true, the few files that failed are run once
 * more, alone: a machine that is shared with others fails what depends on a moment. Whatever passes only then is named,
 * and is a defect to be mended all the same.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { summaryLine } from "./summary-line.mjs";

/** More files than these that fail are no matter of a moment. */
const mostAgain = 5;

const folder = mkdtempSync(join(tmpdir(), "test-summary-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const first = jest(process.argv.slice(2));
const files = first.summary?.failures.map(({ file }) => file) ?? [];
const again = process.env.CI === "true" && files.length > 0 && files.length <= mostAgain;
let { code, summary } = first;
if (again) {
  console.log(`\nFailed, and run once more, alone: ${named(files)}\n`);
  // What a failed test leaves running must not keep the second run from ending.
  const second = jest(["--runInBand", "--forceExit", "--runTestsByPath", ...files]);
  code = second.code;
  summary = second.summary && together(first.summary, second.summary);
  const still = second.summary?.failures.map(({ file }) => file) ?? files;
  const late = files.filter((file) => !still.includes(file));
  if (late.length > 0) console.log(`\nPassed only when run once more, and to be mended: ${named(late)}`);
}
const line = summary ? summaryLine(summary) : "0 passed, 1 failed";
if (process.env.TEST_LINE_FILE) writeFileSync(process.env.TEST_LINE_FILE, `${line}\n`);
console.log(line);
process.exitCode = code === 0 && !summary ? 1 : code;

function jest(args) {
  const file = join(folder, "summary.json");
  rmSync(file, { force: true });
  const env = { ...process.env, TEST_SUMMARY_FILE: file };
  const { status } = spawnSync(process.execPath, ["node_modules/jest/bin/jest.js", ...args], { stdio: "inherit", env });
  try {
    return { code: status ?? 1, summary: JSON.parse(readFileSync(file, "utf8")) };
  } catch {
    // It ended before it could say what happened.
    return { code: status || 1, summary: null };
  }
}

/** The files of the second run count as they went there. */
function together(before, after) {
  const count = (name) => before.failures.reduce((sum, failure) => sum + failure[name], 0);
  return {
    passed: before.passed - count("passed") + after.passed,
    failed: after.failed,
    skipped: before.skipped - count("skipped") + after.skipped,
  };
}

function named(files) {
  return files.map((file) => relative(process.cwd(), file)).join(", ");
}
