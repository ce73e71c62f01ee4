/**
 * Prints `N passed, N failed` (and `, N skipped`) as the very last line of a Jest run, for programs that read it. Where
 * TEST_SUMMARY_FILE names a file, what happened is written there as JSON, and saying it is left to the reader.
 */

import { writeFileSync } from "node:fs";
import { summaryLine } from "../../scripts/summary-line.mjs";

/** A class because Jest asks for one. */
// biome-ignore lint/style/noDefaultExport: Jest looks for the default export.
export default class SummaryReporter {
  onRunComplete(_contexts, results) {
    // A file that does not even load holds no tests and must count all the same.
    const failedOf = ({ numFailingTests, testExecError }) => numFailingTests + (testExecError ? 1 : 0);
    const failures = results.testResults.filter((suite) => failedOf(suite) > 0);
    const summary = {
      passed: results.numPassedTests,
      failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
      skipped: results.numPendingTests + results.numTodoTests,
      failures: failures.map(({ testFilePath, numPassingTests, numPendingTests, numTodoTests }) => ({
        file: testFilePath,
        passed: numPassingTests,
        skipped: numPendingTests + numTodoTests,
      })),
    };
    this.nothingRan = summary.passed + summary.failed === 0;
    const { TEST_SUMMARY_FILE: file } = process.env;
    if (file) writeFileSync(file, JSON.stringify(summary));
    // Jest prints more after its reporters; at the end of the process nothing follows.
    else process.once("exit", () => process.stdout.write(`${summaryLine(summary)}\n`));
  }

  getLastError() {
    return this.nothingRan ? new Error("No test ran.") : undefined;
  }
}
