/**
 * Finds the playbooks that answer an alert, by an index over `alertname`:
 * the time it takes does not depend on how many playbooks ask for another `alertname`.
 */

import type { Labels } from "../domain/alert.ts";
import { type Matcher, matchesAll } from "./matcher.ts";

/** What the index needs to know of a playbook; null matchers: alerts do not start it. */
export interface Matchable {
  readonly matchers: readonly Matcher[] | null;
}

/** Returns, in the order of `playbooks`, those whose matchers all hold of the labels. */
export function createMatchIndex<T extends Matchable>(playbooks: readonly T[]): (labels: Labels) => readonly T[] {
  const byAlertname = new Map<string, number[]>();
  const others: number[] = [];
  playbooks.forEach((playbook, position) => {
    if (playbook.matchers === null) return;
    const names = alertnamesOf(playbook.matchers);
    if (names === null) others.push(position);
    else for (const name of names) append(byAlertname, name, position);
  });

  return (labels) => {
    const alertname = Object.hasOwn(labels, "alertname") ? (labels["alertname"] as string) : "";
    const candidates = [...(byAlertname.get(alertname) ?? []), ...others].sort((a, b) => a - b);
    return candidates
      .map((position) => playbooks[position] as T)
      .filter((playbook) => matchesAll(playbook.matchers ?? [], labels));
  };
}

function append(index: Map<string, number[]>, name: string, position: number): void {
  const positions = index.get(name);
  if (positions === undefined) index.set(name, [position]);
  else positions.push(position);
}

// Characters that mean themselves in every regular expression.
const literal = /^[A-Za-z0-9_ :/-]+$/;

/** The only alert names that the matchers can hold of; null where they do not say. */
function alertnamesOf(matchers: readonly Matcher[]): ReadonlySet<string> | null {
  for (const matcher of matchers) {
    if (matcher.name !== "alertname") continue;
    if (matcher.operator === "=") return new Set([matcher.value]);
    if (matcher.operator !== "=~") continue;
    const alternatives = matcher.value.split("|");
    if (alternatives.every((alternative) => literal.test(alternative))) return new Set(alternatives);
  }
  return null;
}
