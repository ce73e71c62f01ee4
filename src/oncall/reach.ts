/** From a message of the outbox to what tells it, by the configuration as it is now: an address that changed since is the new one. */

import type { Level } from "../domain/escalation.ts";
import type { Follow, Message } from "./way.ts";

/** The ways of one level of a policy, or of a contact, as configured. */
export interface ConfiguredWays {
  readonly email: readonly string[];
  readonly slack: string | null;
  /** The routing key; null: not by PagerDuty. */
  readonly pagerduty: { reveal(): string } | null;
}

export type PolicyLevel = ConfiguredWays & { readonly afterMs: number };
export type Policies = ReadonlyMap<string, readonly PolicyLevel[]>;
export type Contacts = ReadonlyMap<string, ConfiguredWays>;

/** What there is to tell people with. Null where the configuration does not have it. */
export interface Voices {
  readonly email: ((to: readonly string[]) => Follow) | null;
  readonly emailReport: ((to: readonly string[]) => Follow) | null;
  readonly pagerduty: (routingKey: string) => Follow;
  readonly slackMessage: ((channel: string) => Follow) | null;
  readonly slackReport: ((channel: string) => Follow) | null;
  readonly slackRecord: Follow | null;
  readonly slackAnnouncement: Follow | null;
  readonly statusPage: Follow | null;
  readonly changes: Follow | null;
}

/** The levels of a policy for the escalation's clock; null where there is no such policy. */
export function levelsOf(policies: Policies): (policy: string) => readonly Level[] | null {
  return (policy) => policies.get(policy)?.map((level) => ({ afterMs: level.afterMs, ways: waysOf(level) })) ?? null;
}

/** The names of the ways that are configured, as the outbox and the histories name them. */
export function waysOf(configured: ConfiguredWays): readonly string[] {
  return [
    ...(configured.email.length > 0 ? ["email"] : []),
    ...(configured.slack !== null ? ["slack"] : []),
    ...(configured.pagerduty ? ["pagerduty"] : []),
  ];
}

/** Finds what tells a message; null where the configuration has no such level, contact or way any more. */
export function createReach(
  policies: Policies,
  contacts: Contacts,
  voices: Voices,
): (message: Message) => Follow | null {
  return (message) => {
    switch (message.topic) {
      case "handed-over":
      case "held":
      case "approval-unasked":
        return byWay(message.way, policies.get(message.policy)?.[message.level] ?? null, voices);
      case "notify":
        return byWay(message.way, contacts.get(message.policy) ?? null, voices);
      case "report":
        // A report wakes nobody.
        return byWay(message.way, withoutPages(contacts.get(message.policy)), {
          ...voices,
          email: voices.emailReport,
          slackMessage: voices.slackReport,
        });
      case "record":
        return voices.slackRecord;
      case "announcement":
        return message.way === "slack" ? voices.slackAnnouncement : voices.statusPage;
      case "changes":
        return voices.changes;
      default:
        return message.topic satisfies never;
    }
  };
}

function withoutPages(configured: ConfiguredWays | undefined): ConfiguredWays | null {
  return configured ? { ...configured, pagerduty: null } : null;
}

function byWay(way: string, configured: ConfiguredWays | null, voices: Voices): Follow | null {
  if (!configured) return null;
  if (way === "email" && configured.email.length > 0) return voices.email?.(configured.email) ?? missing("email");
  if (way === "slack" && configured.slack !== null) return voices.slackMessage?.(configured.slack) ?? missing("slack");
  if (way === "pagerduty" && configured.pagerduty) return voices.pagerduty(configured.pagerduty.reveal());
  return null;
}

/** A way that a level names and that the configuration does not have. */
function missing(section: string): Follow {
  return async ({ place, shownSeq }) => ({
    ok: false,
    reason: `the configuration has no section \`${section}\`; add it, or take this way out of the level`,
    retryable: false,
    place,
    shownSeq,
  });
}
