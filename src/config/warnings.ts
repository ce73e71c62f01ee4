/** What is accepted but will not do what somebody may expect of it. */

import { formatDuration } from "../domain/duration.ts";
import { isAllowed } from "../domain/role.ts";
import { anybodyInSlack, approverWarnings } from "./approver-checks.ts";
import { unclearNetwork } from "./http-schema.ts";
import type { Finding } from "./problems.ts";
import { at } from "./raw.ts";
import type { ParsedConfig } from "./schema.ts";

/** The warnings about a configuration without a problem. `raw` says what was written and what is a default. */
export function warningsOf(raw: unknown, parsed: ParsedConfig): readonly Finding[] {
  return [
    ...Object.entries(parsed.escalation).flatMap(([policy, levels]) =>
      levels.flatMap((level, index) => untold(["escalation", policy, index], level, parsed)),
    ),
    ...Object.entries(parsed.contacts).flatMap(([name, contact]) => untold(["contacts", name], contact, parsed)),
    ...approverWarnings(raw),
    ...announcementWarnings(raw, parsed),
    ...approvalWarnings(raw, parsed),
    ...(asksForTwo(parsed) ? warningsForTwoOf(parsed) : []),
    ...networkWarnings(parsed),
    ...(parsed.slack && !anybodyInSlack(raw)
      ? [{ path: ["slack"], message: "nobody may approve in Slack: users and groups give nobody the role approver" }]
      : []),
  ];
}

/** Whether the configuration itself asks for the approval of two people anywhere. */
export function asksForTwo({ approvals, targets }: ParsedConfig): boolean {
  return approvals.atLeast >= 2 || Object.values(targets).some((target) => (target.approvals?.atLeast ?? 1) >= 2);
}

/** What matters only where two people must approve. */
export function warningsForTwoOf(parsed: ParsedConfig): readonly Finding[] {
  const nameless = parsed.api.tokens.filter(({ role, slack }) => isAllowed(role, "approver") && slack === undefined);
  if (parsed.slack === undefined || nameless.length === 0) return [];
  const names = nameless.map(({ name }) => name).join(", ");
  const message =
    `where two people must approve, whoever answers with ${names} and in Slack counts as two: ` +
    "say whose a token is, as in slack: U024BE7LH, or give it no role above operator";
  return [{ path: ["api", "tokens", parsed.api.tokens.indexOf(nameless[0] as (typeof nameless)[number])], message }];
}

/** Ways that lead nowhere, since what they need is not configured. */
function untold(
  path: readonly PropertyKey[],
  told: ParsedConfig["contacts"][string],
  parsed: ParsedConfig,
): readonly Finding[] {
  const findings: Finding[] = [];
  for (const way of ["email", "slack"] as const) {
    if (told[way] === undefined || parsed[way] !== undefined) continue;
    const what = way === "email" ? "names people" : "names a channel";
    const who = way === "email" ? "they are" : "it is";
    findings.push({ path: [...path, way], message: `${what}, but without the section \`${way}\` ${who} not told` });
  }
  return findings;
}

function announcementWarnings(raw: unknown, parsed: ParsedConfig): readonly Finding[] {
  if (at(raw, "announcements") === undefined || parsed.slack !== undefined) return [];
  if (parsed.announcements.slack !== undefined) {
    const message = "names a channel, but without the section `slack` nothing is announced there";
    return [{ path: ["announcements", "slack"], message }];
  }
  if (parsed.statusPage !== undefined) return [];
  return [
    {
      path: ["announcements"],
      message: "there is no place for them: nothing is announced without slack or statusPage",
    },
  ];
}

/** A name with dots may stand for anything: whoever configures it is told what is assumed. */
function networkWarnings(parsed: ParsedConfig): readonly Finding[] {
  return Object.entries(parsed.targets).flatMap(([name, { http }]) => {
    const message = http ? unclearNetwork(http) : null;
    return message === null ? [] : [{ path: ["targets", name, "http", "baseUrl"], message }];
  });
}

/** The strictest counts, so what asks for less than the defaults asks for nothing. */
function approvalWarnings(raw: unknown, parsed: ParsedConfig): readonly Finding[] {
  const { expireAfter, atLeast, escalateAfter } = parsed.approvals;
  const findings: Finding[] = [];
  const most = formatDuration(expireAfter);
  if (at(raw, "approvals", "escalateAfter") !== undefined && escalateAfter >= expireAfter) {
    const message = `has no effect: approvals expire before, after ${most}`;
    findings.push({ path: ["approvals", "escalateAfter"], message });
  }
  for (const [name, { approvals }] of Object.entries(parsed.targets)) {
    const path = ["targets", name, "approvals"];
    if (approvals?.atLeast !== undefined && approvals.atLeast < atLeast) {
      const message = `has no effect: approvals.atLeast asks for ${atLeast} everywhere`;
      findings.push({ path: [...path, "atLeast"], message });
    }
    if (approvals?.expireAfter !== undefined && approvals.expireAfter > expireAfter) {
      findings.push({
        path: [...path, "expireAfter"],
        message: `has no effect: approvals.expireAfter is ${most}, and the shorter counts`,
      });
    }
  }
  return findings;
}
