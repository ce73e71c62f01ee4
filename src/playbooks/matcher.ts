/** Matchers in Alertmanager's own syntax: which label sets an alert must have for a playbook to answer it. */

import type { Labels } from "../domain/alert.ts";
import { type MatcherOperator, type MatcherText, readMatchers } from "./matcher-syntax.ts";
import { compilePattern, type Pattern } from "./pattern.ts";

/** One condition on one label. An absent label equals the empty one. */
export interface Matcher {
  readonly name: string;
  readonly operator: MatcherOperator;
  readonly value: string;
  /** The compiled value of `=~` and `!~`, which must match all of a label's value; null for `=` and `!=`. */
  readonly pattern: Pattern | null;
}

export type ParsedMatchers =
  | { readonly ok: true; readonly matchers: readonly Matcher[] }
  | { readonly ok: false; readonly message: string };

const longestText = 2_000;

/**
 * Reads `name="value"` with one of `=`, `!=`, `=~`, `!~`; several may be separated by commas, as in Alertmanager.
 * Texts without any matcher, such as `{}`, are refused: an empty selection is an error, never "all".
 */
export function parseMatchers(text: string): ParsedMatchers {
  if (text.length > longestText) {
    return { ok: false, message: `the matcher is longer than ${longestText} characters` };
  }
  const read = readMatchers(text);
  if (!read.ok) return { ok: false, message: `not a matcher: ${text} (${read.message})` };
  if (read.matchers.length === 0)
    return { ok: false, message: 'an empty matcher; write one such as severity="critical"' };
  const matchers: Matcher[] = [];
  for (const one of read.matchers) {
    const matcher = compileMatcher(one);
    if (typeof matcher === "string") return { ok: false, message: `not a matcher: ${text} (${matcher})` };
    matchers.push(matcher);
  }
  return { ok: true, matchers };
}

function compileMatcher(text: MatcherText): Matcher | string {
  if (text.name === "") return "the label name is empty";
  if (text.operator === "=" || text.operator === "!=") return { ...text, pattern: null };
  const compiled = compilePattern(text.value);
  return compiled.ok ? { ...text, pattern: compiled.pattern } : compiled.message;
}

/** Whether the labels fulfil the matcher. Takes time proportional to the length of the label's value. */
export function matches(matcher: Matcher, labels: Labels): boolean {
  // Labels may be named `__proto__` or `constructor`; only what the alert itself carries counts.
  const value = Object.hasOwn(labels, matcher.name) ? (labels[matcher.name] as string) : "";
  switch (matcher.operator) {
    case "=":
      return value === matcher.value;
    case "!=":
      return value !== matcher.value;
    case "=~":
      return matcher.pattern?.matchesWhole(value) ?? false;
    case "!~":
      return !(matcher.pattern?.matchesWhole(value) ?? true);
  }
}

/** Whether the labels fulfil all of the matchers. No matchers select nothing. */
export function matchesAll(matchers: readonly Matcher[], labels: Labels): boolean {
  return matchers.length > 0 && matchers.every((matcher) => matches(matcher, labels));
}

const noLabels: Labels = Object.freeze(Object.create(null) as Record<string, string>);

/** Whether the matchers select even an alert without any label, that is to say every alert there is. */
export function selectsEverything(matchers: readonly Matcher[]): boolean {
  return matchers.every((matcher) => matches(matcher, noLabels));
}
