/** From a level of an escalation policy to the people behind it: which ways it has, and who is at the end of each. */

import type { Level } from "../domain/escalation.ts";
import type { Message, Reach } from "./desk.ts";
import type { Deliver } from "./way.ts";

/** A level as configured. */
export interface PolicyLevel {
  readonly afterMs: number;
  readonly email: readonly string[];
  /** The routing key; null: not by PagerDuty. */
  readonly pagerduty: { reveal(): string } | null;
}

export type Policies = ReadonlyMap<string, readonly PolicyLevel[]>;

export interface Ways {
  /** Null where no mail server is configured. */
  readonly email: Deliver<readonly string[]> | null;
  readonly pagerduty: Deliver<string>;
}

/** The levels of a policy for the escalation's clock; null where there is no such policy. */
export function levelsOf(policies: Policies): (policy: string) => readonly Level[] | null {
  return (policy) => policies.get(policy)?.map((level) => ({ afterMs: level.afterMs, ways: waysOf(level) })) ?? null;
}

function waysOf(level: PolicyLevel): readonly string[] {
  return [...(level.email.length > 0 ? ["email"] : []), ...(level.pagerduty ? ["pagerduty"] : [])];
}

/** Finds who a message is for, by the configuration as it is now: an address that changed since is the new one. */
export function createReach(policies: Policies, ways: Ways): Reach {
  return (message: Message) => {
    const level = policies.get(message.policy)?.[message.level];
    if (!level) return null;
    if (message.way === "email" && level.email.length > 0) {
      const { email } = ways;
      const to = level.email.join(", ");
      if (!email) return { to, deliver: async () => noMailServer };
      return { to, deliver: (notice, signal) => email(notice, level.email, signal) };
    }
    const { pagerduty } = level;
    if (message.way !== "pagerduty" || !pagerduty) return null;
    return { to: "PagerDuty", deliver: (notice, signal) => ways.pagerduty(notice, pagerduty.reveal(), signal) };
  };
}

const noMailServer = {
  ok: false as const,
  reason: "no mail server is configured; add the section `email`",
  retryable: false,
};
