/** Which pages PagerDuty folds into one: those of the same firing of the same alert that go by the same routing key. */

import type { Contacts, Policies } from "./reach.ts";
import type { OtherPage, Subject } from "./way.ts";

/** Finds the open pages of other runs that fold into one with what is told of a run by `routingKey`. */
export function createSharedPages(
  policies: Policies,
  contacts: Contacts,
): (routingKey: string, subject: Subject) => readonly OtherPage[] {
  const keyOf = ({ topic, policy, level }: OtherPage) => {
    const configured = topic === "notify" ? contacts.get(policy) : policies.get(policy)?.[level];
    return configured?.pagerduty?.reveal() ?? null;
  };
  return (routingKey, { otherPages }) =>
    // A question is a page of its own.
    otherPages.filter((page) => page.topic !== "approval-unasked" && keyOf(page) === routingKey);
}
