/** The schema of one target. What selects things in it is listed by name: nothing in it can mean "all". */

import { z } from "zod";

import type { ApprovalDemands } from "../domain/approval-demands.ts";
import type { Target } from "../domain/target.ts";
import { buildDjango, djangoSchema } from "./django-schema.ts";
import { duration, ownName, someOf, text, whole } from "./fields.ts";
import { buildDeploy, buildLogs, checkDeploy, deploySchema, filesSchema, logsSchema } from "./host-schema.ts";
import { buildHttp, httpSchema } from "./http-schema.ts";
import { buildPostgres, postgresSchema } from "./postgres-schema.ts";
import type { SecretField } from "./secret-field.ts";
import { buildSystemd, systemdSchema } from "./systemd-schema.ts";

const keyPattern = text.refine((value) => value.replace(/\[[^\]]*\]|[*?]/g, "") !== "", {
  error: "must contain some literal text: a pattern that selects every key is refused",
});

const labelName = text.refine((value) => value.length <= 256, { error: "must be a label name" });

const approvalDemands = z
  .strictObject({
    atLeast: whole(1, 20).optional(),
    expireAfter: duration({ atLeastMs: 1_000 }).optional(),
    by: ownName.optional(),
  })
  .refine((demands) => Object.values(demands).some((value) => value !== undefined), {
    error: "asks for nothing: give atLeast, expireAfter or by",
  });

/** A target as it stands below its name. */
export function targetSchema(secret: SecretField) {
  return z
    .strictObject({
      host: text
        .refine((value) => /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(value), { error: "must be a host name" })
        .optional(),
      labels: z.record(labelName, someOf(text)).optional(),
      approvals: approvalDemands.optional(),
      postgres: postgresSchema(secret).optional(),
      redis: z.strictObject({ url: secret("url", ["redis:", "rediss:"]), keyPatterns: someOf(keyPattern) }).optional(),
      systemd: systemdSchema.optional(),
      django: djangoSchema(secret).optional(),
      http: httpSchema.optional(),
      logs: logsSchema.optional(),
      files: filesSchema.optional(),
      deploy: deploySchema.optional(),
    })
    .superRefine(checkDeploy);
}

type ParsedTarget = z.output<ReturnType<typeof targetSchema>>;

/** The domain's target. Its labels have no prototype: they are looked up by names that alerts bring along. */
export function buildTarget(name: string, parsed: ParsedTarget): Target {
  const labels: Record<string, readonly string[]> = Object.create(null);
  for (const [label, values] of Object.entries(parsed.labels ?? {})) labels[label] = values;
  return {
    name,
    host: parsed.host ?? null,
    labels,
    ...(parsed.approvals && { approvals: buildDemands(parsed.approvals) }),
    ...(parsed.postgres && { postgres: buildPostgres(parsed.postgres) }),
    ...(parsed.redis && { redis: { ...parsed.redis, url: parsed.redis.url.reveal() } }),
    ...(parsed.systemd && { systemd: buildSystemd(parsed.systemd) }),
    ...(parsed.django && { django: buildDjango(parsed.django) }),
    ...(parsed.http && { http: buildHttp(parsed.http) }),
    ...(parsed.logs && { logs: buildLogs(parsed.logs) }),
    ...(parsed.files && { files: parsed.files }),
    ...(parsed.deploy && { deploy: buildDeploy(parsed.deploy) }),
  };
}

function buildDemands(demands: z.output<typeof approvalDemands>): ApprovalDemands {
  return {
    atLeast: demands.atLeast ?? null,
    expireAfterMs: demands.expireAfter ?? null,
    by: demands.by ?? null,
  };
}
