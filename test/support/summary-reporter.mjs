/**
 * Prints `N passed, N failed` (and `, N skipped`) as the very last line of a Jest run, for programs that read it, and
 * writes it to the file that TEST_SUMMARY_FILE names.
 */

import { writeFileSync } from "node:fs";

/** A class because Jest asks for one. */
// biome-ignore lint/style/noDefaultExport: Jest looks for the default export.
export default class SummaryReporter {
  onRunComplete(_contexts, results) {
    // A file that does not even load holds no tests and must count all the same.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    const parts = [`${results.numPassedTests} passed`, `${failed} failed`];
    if (skipped > 0) parts.push(`${skipped} skipped`);
    const line = `${parts.join(", ")}\n`;
    const { TEST_SUMMARY_FILE: file } = process.env;
    if (file) writeFileSync(file, line);
    this.nothingRan = results.numPassedTests + failed === 0;
    // Jest prints more after its reporters; at the end of the process nothing follows.
    process.once("exit", () => process.stdout.write(line));
  }

  getLastError() {
    return this.nothingRan ? new Error("No test ran.") : undefined;
  }
}
