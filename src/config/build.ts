/** From the parsed file and the overrides to the configuration: absolute paths, nulls for what is left out, the domain's targets. */

import { resolve } from "node:path";

import { byBothDoors } from "../domain/approver.ts";
import type { Config, Contact, SlackConfig, StatusPageConfig } from "./config.ts";
import type { Overrides } from "./overrides.ts";
import type { Problem } from "./problems.ts";
import type { ParsedConfig } from "./schema.ts";
import { buildTarget } from "./target-schema.ts";

/** Puts the configuration together; everything in it has been checked. */
export function build(parts: {
  readonly file: string | null;
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly parsed: ParsedConfig;
  readonly overrides: Overrides;
  readonly secrets: readonly string[];
  readonly warnings: readonly Problem[];
  readonly warningsForTwo: readonly Problem[];
}): Config {
  const { file, folder, env, parsed, overrides, secrets, warnings, warningsForTwo } = parts;
  const tokens = parsed.api.tokens.map((token) => ({ ...token, slack: token.slack ?? null }));
  const stateDir = resolve(folder, parsed.stateDir);
  return {
    file,
    listen: overrides.listen ?? parsed.listen,
    publicUrl: parsed.publicUrl ?? null,
    log: { level: overrides.level ?? parsed.log.level },
    database: overrides.database ? { url: overrides.database } : (parsed.database ?? null),
    redis: overrides.redis ? { url: overrides.redis } : (parsed.redis ?? null),
    alertmanager: parsed.alertmanager,
    api: { tokens },
    playbooks: resolve(folder, parsed.playbooks),
    targets: Object.entries(parsed.targets).map(([name, target]) => buildTarget(name, target)),
    escalation: new Map(
      Object.entries(parsed.escalation).map(([name, levels]) => [
        name,
        levels.map((level) => ({ afterMs: level.after, ...buildContact(level) })),
      ]),
    ),
    approvals: {
      expireAfterMs: parsed.approvals.expireAfter,
      atLeast: parsed.approvals.atLeast,
      escalateAfterMs: parsed.approvals.escalateAfter,
    },
    approvers: new Map(
      Object.entries(parsed.approvers).map(([name, { users = [], groups = [], tokens: named = [] }]) => [
        name,
        byBothDoors({ name, users, groups, tokens: named }, tokens),
      ]),
    ),
    contacts: new Map(Object.entries(parsed.contacts).map(([name, contact]) => [name, buildContact(contact)])),
    announcements: {
      slack: parsed.slack ? (parsed.announcements.slack ?? parsed.slack.channel) : null,
      leadMs: parsed.announcements.leadTime,
    },
    prometheus: parsed.prometheus ?? null,
    slack: parsed.slack ? buildSlack(parsed.slack) : null,
    email: parsed.email ?? null,
    pagerduty: parsed.pagerduty
      ? { ...parsed.pagerduty, severities: severityTable(parsed.pagerduty.severities) }
      : null,
    heartbeat: parsed.heartbeat ? { url: parsed.heartbeat.url, everyMs: parsed.heartbeat.every } : null,
    statusPage: parsed.statusPage ? buildStatusPage(parsed.statusPage) : null,
    worker: {
      concurrency: parsed.worker.concurrency,
      leaseMs: parsed.worker.lease,
      drainMs: parsed.worker.drain,
      reconcileEveryMs: parsed.worker.reconcileEvery,
      hostWaitMs: parsed.worker.hostWait,
    },
    stateDir,
    pauseFile: parsed.pauseFile === undefined ? resolve(stateDir, "paused") : resolve(folder, parsed.pauseFile),
    limits: parsed.limits,
    systemBusAddress: env["DBUS_SYSTEM_BUS_ADDRESS"] || null,
    secrets,
    warnings,
    warningsForTwo,
  };
}

function buildContact(contact: ParsedConfig["contacts"][string]): Contact {
  return { email: contact.email ?? [], slack: contact.slack ?? null, pagerduty: contact.pagerduty ?? null };
}

type SeverityTable = NonNullable<Config["pagerduty"]>["severities"];

/** PagerDuty's own words mean themselves, unless the configuration says otherwise. Looked up by what alerts bring along. */
function severityTable(configured: SeverityTable): SeverityTable {
  const own: SeverityTable = { critical: "critical", error: "error", warning: "warning", info: "info" };
  return Object.assign(Object.create(null), own, configured);
}

function buildSlack(slack: NonNullable<ParsedConfig["slack"]>): SlackConfig {
  return {
    botToken: slack.botToken,
    signingSecret: slack.signingSecret ?? null,
    appToken: slack.appToken ?? null,
    apiUrl: slack.apiUrl,
    channel: slack.channel,
    users: new Map(Object.entries(slack.users)),
    groups: new Map(Object.entries(slack.groups)),
  };
}

function buildStatusPage(page: NonNullable<ParsedConfig["statusPage"]>): StatusPageConfig {
  return page.kind === "webhook" ? { ...page, token: page.token ?? null } : page;
}
