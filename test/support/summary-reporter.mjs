/**
 * Prints how long each folder's files took, added up, and `N passed, N failed` (and `, N skipped`) as the very last line of a Jest run, for programs that read it. Where
 * TEST_SUMMARY_FILE names a file, what happened is written there as JSON, and saying it is left to the reader.
 */

import { writeFileSync } from "node:fs";
import { relative, sep } from "node:path";
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
    if (results.testResults.length > 1) console.log(times(results.testResults));
    const { TEST_SUMMARY_FILE: file } = process.env;
    if (file) writeFileSync(file, JSON.stringify(summary));
    // Jest prints more after its reporters; at the end of the process nothing follows.
    else process.once("exit", () => process.stdout.write(`${summaryLine(summary)}\n`));
  }

  getLastError() {
    return this.nothingRan ? new Error("No test ran.") : undefined;
  }
}

/** Where the time goes: `test/e2e: 31 files, 1250 s added up, the longest 90 s (test/e2e/x.test.ts)`. */
function times(suites) {
  const folders = new Map();
  for (const { testFilePath, perfStats } of suites) {
    const path = relative(process.cwd(), testFilePath);
    const folder = path.split(sep).slice(0, 2).join("/");
    const seconds = (perfStats.end - perfStats.start) / 1_000 || 0;
    folders.set(folder, [...(folders.get(folder) ?? []), { path, seconds }]);
  }
  const lines = [...folders].map(([folder, files]) => {
    const longest = files.reduce((most, one) => (one.seconds > most.seconds ? one : most));
    const sum = files.reduce((all, { seconds }) => all + seconds, 0);
    const most = `the longest ${Math.round(longest.seconds)} s (${longest.path})`;
    return { sum, text: `${folder}: ${files.length} files, ${Math.round(sum)} s added up, ${most}` };
  });
  return lines
    .sort((a, b) => b.sum - a.sum)
    .map(({ text }) => text)
    .join("\n");
}
