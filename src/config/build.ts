/** From the parsed file and the overrides to the configuration: absolute paths, nulls for what is left out, the domain's targets. */

import { resolve } from "node:path";

import type { Config, EscalationLevel, SlackConfig, StatusPageConfig } from "./config.ts";
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
}): Config {
  const { file, folder, env, parsed, overrides, secrets, warnings } = parts;
  const stateDir = resolve(folder, parsed.stateDir);
  return {
    file,
    listen: overrides.listen ?? parsed.listen,
    publicUrl: parsed.publicUrl ?? null,
    log: { level: overrides.level ?? parsed.log.level },
    database: overrides.database ? { url: overrides.database } : (parsed.database ?? null),
    redis: overrides.redis ? { url: overrides.redis } : (parsed.redis ?? null),
    alertmanager: parsed.alertmanager,
    api: parsed.api,
    playbooks: resolve(folder, parsed.playbooks),
    targets: Object.entries(parsed.targets).map(([name, target]) => buildTarget(name, target)),
    escalation: new Map(Object.entries(parsed.escalation).map(([name, levels]) => [name, levels.map(buildLevel)])),
    approvals: { expireAfterMs: parsed.approvals.expireAfter, atLeast: parsed.approvals.atLeast },
    prometheus: parsed.prometheus ?? null,
    slack: parsed.slack ? buildSlack(parsed.slack) : null,
    email: parsed.email ?? null,
    pagerduty: parsed.pagerduty ?? null,
    statusPage: parsed.statusPage ? buildStatusPage(parsed.statusPage) : null,
    worker: {
      concurrency: parsed.worker.concurrency,
      leaseMs: parsed.worker.lease,
      drainMs: parsed.worker.drain,
      reconcileEveryMs: parsed.worker.reconcileEvery,
    },
    stateDir,
    pauseFile: parsed.pauseFile === undefined ? resolve(stateDir, "paused") : resolve(folder, parsed.pauseFile),
    limits: parsed.limits,
    systemBusAddress: env["DBUS_SYSTEM_BUS_ADDRESS"] || null,
    secrets,
    warnings,
  };
}

function buildLevel(level: ParsedConfig["escalation"][string][number]): EscalationLevel {
  return {
    afterMs: level.after,
    email: level.email ?? [],
    slack: level.slack ?? null,
    pagerduty: level.pagerduty ?? null,
  };
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
