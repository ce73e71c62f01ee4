/** The schema of `paramedic.yaml`: strict, so that a misspelt setting is told and not ignored. */

import { z } from "zod";

import { roles } from "../domain/role.ts";
import {
  duration,
  emailAddress,
  httpUrl,
  listenAddress,
  ownName,
  slackChannel,
  slackGroup,
  slackUser,
  someOf,
  text,
  whole,
} from "./fields.ts";
import type { SecretField } from "./secret-field.ts";
import { targetSchema } from "./target-schema.ts";

const role = z.enum(roles, { error: `must be one of ${roles.join(", ")}` });

const levels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** A level of the log. */
export const logLevel = z.enum(levels, { error: `must be one of ${levels.join(", ")}` });

const severities = ["critical", "error", "warning", "info"] as const;

const labelValue = text.refine((value) => value === value.toLowerCase(), {
  error: "must be in small letters: the alert's label is compared in small letters",
});

/** A set of people. Which tokens there are, and whether anybody in it may approve, is looked at elsewhere. */
const approverSet = z
  .strictObject({
    users: someOf(slackUser).optional(),
    groups: someOf(slackGroup).optional(),
    tokens: someOf(ownName).optional(),
  })
  .refine((set) => set.users || set.groups || set.tokens, { error: "names nobody: give users, groups or tokens" });

const kibibyte = 1_024;

/** The whole file. `secret` resolves references to secrets as they are met. */
export function configSchema(secret: SecretField) {
  const token = secret("token");
  const credential = secret("credential");

  const ways = {
    email: z
      .array(emailAddress, { error: "must be a list of e-mail addresses" })
      .min(1, { error: "must not be empty" })
      .optional(),
    slack: slackChannel.optional(),
    pagerduty: credential.optional(),
  };
  const tellsSomebody = (given: { readonly [way in keyof typeof ways]?: unknown }) =>
    Boolean(given.email || given.slack || given.pagerduty);
  const tellsNobody = { error: "tells nobody: give email, slack or pagerduty" };

  const escalationLevel = z.strictObject({ after: duration(), ...ways }).refine(tellsSomebody, tellsNobody);
  const contact = z.strictObject(ways).refine(tellsSomebody, tellsNobody);

  const policy = z
    .array(escalationLevel, { error: "must be a list of levels" })
    .min(1, { error: "must have at least one level" })
    .refine((list) => list.every((level, index) => index === 0 || level.after > (list[index - 1]?.after ?? 0)), {
      error: "each level must come later than the one before it",
    });

  const slack = z
    .strictObject({
      botToken: credential,
      signingSecret: credential.optional(),
      appToken: credential.optional(),
      apiUrl: httpUrl.default("https://slack.com/api"),
      channel: slackChannel,
      users: z.record(slackUser, role).default({}),
      groups: z.record(slackGroup, role).default({}),
    })
    .refine((value) => Boolean(value.signingSecret) !== Boolean(value.appToken), {
      error: "needs either signingSecret (HTTP mode) or appToken (Socket Mode)",
    });

  const statusPage = z.discriminatedUnion(
    "kind",
    [
      z.strictObject({ kind: z.literal("statuspage"), url: httpUrl, pageId: text, token: credential }),
      z.strictObject({ kind: z.literal("webhook"), url: httpUrl, token: credential.optional() }),
    ],
    { error: "kind must be statuspage or webhook" },
  );

  return z.strictObject(
    {
      listen: listenAddress.prefault("127.0.0.1:9095"),
      publicUrl: httpUrl.optional(),
      log: z.strictObject({ level: logLevel.default("info") }).prefault({}),
      database: z.strictObject({ url: secret("url", ["postgres:", "postgresql:"]) }).optional(),
      redis: z.strictObject({ url: secret("url", ["redis:", "rediss:"]) }).optional(),
      alertmanager: z
        .strictObject({ tokens: z.array(token, { error: "must be a list of secrets" }).default([]) })
        .prefault({}),
      api: z
        .strictObject({
          tokens: z
            .array(z.strictObject({ name: ownName, role, secret: token, slack: slackUser.optional() }), {
              error: "must be a list of tokens",
            })
            .default([]),
        })
        .prefault({}),
      playbooks: text.default("playbooks/"),
      targets: z.record(ownName, targetSchema(secret)).default({}),
      escalation: z.record(ownName, policy).default({}),
      approvals: z
        .strictObject({
          expireAfter: duration({ atLeastMs: 1_000 }).default(1_800_000),
          atLeast: whole(1, 20).default(1),
          escalateAfter: duration({ atLeastMs: 1_000 }).default(120_000),
        })
        .prefault({}),
      approvers: z.record(ownName, approverSet).default({}),
      contacts: z.record(ownName, contact).default({}),
      announcements: z
        .strictObject({
          slack: slackChannel.optional(),
          leadTime: duration({ atLeastMs: 1_000 }).default(600_000),
        })
        .prefault({}),
      slack: slack.optional(),
      email: z.strictObject({ smtp: secret("url", ["smtp:", "smtps:"]), from: emailAddress }).optional(),
      pagerduty: z
        .strictObject({
          routingKey: credential,
          server: text
            .refine((value) => !/^http:/i.test(value), {
              error: "must not be http://: the key is only sent over TLS; give a host such as events.pagerduty.com",
              abort: true,
            })
            .refine(isTlsHost, {
              error: "must be a host such as events.pagerduty.com, with :port where it has its own",
            })
            .default("events.pagerduty.com"),
          severities: z
            .record(labelValue, z.enum(severities, { error: `must be one of ${severities.join(", ")}` }))
            .default({}),
        })
        .optional(),
      statusPage: statusPage.optional(),
      heartbeat: z
        .strictObject({
          url: secret("address", ["http:", "https:"]),
          every: duration({ atLeastMs: 1_000 }).default(60_000),
        })
        .optional(),
      prometheus: z.strictObject({ url: httpUrl }).optional(),
      worker: z
        .strictObject({
          concurrency: whole(1, 1_000).default(50),
          lease: duration({ atLeastMs: 1_000 }).default(30_000),
          drain: duration().default(25_000),
          reconcileEvery: duration({ atLeastMs: 1_000 }).default(2_000),
          hostWait: duration({ atLeastMs: 1_000 }).default(120_000),
        })
        .prefault({}),
      stateDir: text.default("var/"),
      pauseFile: text.optional(),
      limits: z
        .strictObject({
          webhookBodyBytes: whole(kibibyte, 64 * kibibyte * kibibyte).default(8 * kibibyte * kibibyte),
          apiBodyBytes: whole(kibibyte, 64 * kibibyte * kibibyte).default(kibibyte * kibibyte),
        })
        .prefault({}),
    },
    { error: (issue) => (issue.code === "invalid_type" ? "the file must be a map of settings" : undefined) },
  );
}

function isTlsHost(value: string): boolean {
  const host = value.replace(/^https:\/\//, "");
  return /^[A-Za-z0-9.-]+(:\d{1,5})?$/.test(host) && URL.canParse(`https://${host}`);
}

export type ParsedConfig = z.output<ReturnType<typeof configSchema>>;
