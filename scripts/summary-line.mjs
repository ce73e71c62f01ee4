/** What a run of tests came to, in the words that CI reads: `N passed, N failed`, and `, N skipped` where some were. */

export function summaryLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
