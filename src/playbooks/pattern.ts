/** Regular expressions of playbooks: RE2 syntax, compiled when they are read, bounded in size, linear in the text they meet. */

import { RE2JS } from "re2js";

/** A compiled regular expression. Both questions take time proportional to the length of the text. */
export interface Pattern {
  readonly source: string;
  /** Whether all of the text matches, from its first to its last character. */
  matchesWhole(text: string): boolean;
  /** Whether some part of the text matches. */
  matchesPart(text: string): boolean;
}

export type CompiledPattern =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly message: string };

const longestSource = 1_000;
// Any literal text of the longest source fits; what counted repetitions multiply beyond it does not.
const largestProgram = 1_200;

/** Compiles RE2 syntax. Look-around and back-references do not exist in it; what is too large is refused. */
export function compilePattern(source: string): CompiledPattern {
  if (source.length > longestSource) {
    return { ok: false, message: `the regular expression is longer than ${longestSource} characters` };
  }
  try {
    const compiled = RE2JS.compile(source);
    if (compiled.programSize() > largestProgram) {
      return { ok: false, message: "the regular expression is too large; use smaller repetition counts" };
    }
    return {
      ok: true,
      pattern: {
        source,
        matchesWhole: (text) => compiled.testExact(text),
        matchesPart: (text) => compiled.test(text),
      },
    };
  } catch (error) {
    return { ok: false, message: reasonOf(error) };
  }
}

function reasonOf(error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error);
  return `not a regular expression in RE2 syntax: ${reason.replace(/^error parsing regexp: /, "")}`;
}
