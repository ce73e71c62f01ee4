/** The risk of a change in words, for people who decide about it or look at what it did. */

import type { StepChange, Subject } from "./way.ts";

/** `Risk: high`; null where the playbook's text cannot be read any more. */
export function riskOf(step: string, { changes }: Pick<Subject, "changes">): string | null {
  const change = changes.get(step);
  if (!change) return null;
  return change.risk === "irreversible" ? "Risk: it cannot be undone" : `Risk: ${change.risk}`;
}

const riskWords: Readonly<Record<StepChange["risk"], string>> = {
  low: "low risk",
  high: "high risk",
  irreversible: "cannot be undone",
};

/** The action and its risk, as they stand in brackets after the name of a step; empty where they are not known. */
export function actionAndRisk(step: string, subject: Pick<Subject, "changes">): string {
  const change = subject.changes.get(step);
  return change ? `${change.action}, ${riskWords[change.risk]}` : "";
}
