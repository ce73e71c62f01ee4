/** The schema of `paramedic.yaml`: strict, so that a misspelt setting is told and not ignored. */

import { z } from "zod";

import { duration, emailAddress, httpUrl, listenAddress, ownName, text, whole } from "./fields.ts";
import type { SecretField } from "./secret-field.ts";
import { targetSchema } from "./target-schema.ts";

const roles = ["viewer", "operator", "approver", "admin"] as const;
const role = z.enum(roles, { error: `must be one of ${roles.join(", ")}` });

const levels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** A level of the log. */
export const logLevel = z.enum(levels, { error: `must be one of ${levels.join(", ")}` });

const kibibyte = 1_024;

/** The whole file. `secret` resolves references to secrets as they are met. */
export function configSchema(secret: SecretField) {
  const token = secret("token");
  const credential = secret("credential");

  const escalationLevel = z
    .strictObject({
      after: duration(),
      email: z.array(emailAddress).min(1, { error: "must not be empty" }).optional(),
      slack: text.optional(),
      pagerduty: credential.optional(),
    })
    .refine((level) => level.email || level.slack || level.pagerduty, {
      error: "tells nobody: give email, slack or pagerduty",
    });

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
      channel: text,
      users: z.record(text, role).default({}),
      groups: z.record(text, role).default({}),
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
            .array(z.strictObject({ name: ownName, role, secret: token }), {
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
        })
        .prefault({}),
      slack: slack.optional(),
      email: z.strictObject({ smtp: secret("url", ["smtp:", "smtps:"]), from: emailAddress }).optional(),
      pagerduty: z
        .strictObject({
          routingKey: credential,
          server: text
            .refine((value) => /^(https?:\/\/)?[A-Za-z0-9.-]+(:\d+)?$/.test(value), { error: "must be a host name" })
            .default("events.pagerduty.com"),
        })
        .optional(),
      statusPage: statusPage.optional(),
      prometheus: z.strictObject({ url: httpUrl }).optional(),
      worker: z
        .strictObject({
          concurrency: whole(1, 1_000).default(50),
          lease: duration({ atLeastMs: 1_000 }).default(30_000),
          drain: duration().default(25_000),
          reconcileEvery: duration({ atLeastMs: 1_000 }).default(2_000),
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

export type ParsedConfig = z.output<ReturnType<typeof configSchema>>;
