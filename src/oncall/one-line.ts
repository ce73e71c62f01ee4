/** Makes untrusted text safe to stand in one line of plain text: a subject, a summary, one line of a list. */

/** Control characters, line and paragraph separators, and what changes the direction of text or does not show. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]+/gu;

/** The text in one line: whatever would break or hide it becomes a space. At most `longest` UTF-16 units, cut with `…`. */
export function oneLine(text: string, longest: number): string {
  const line = text.toWellFormed().replace(unprintable, " ").replace(/\s+/g, " ").trim();
  if (line.length <= longest) return line;
  // Half a surrogate pair at the cut would not survive as UTF-8.
  return `${line.slice(0, longest - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
