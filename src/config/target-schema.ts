/** The schema of one target. What selects things in it is listed by name: nothing in it can mean "all". */

import { z } from "zod";

import type { Target } from "../domain/target.ts";
import { buildDjango, djangoSchema } from "./django-schema.ts";
import { httpUrl, someOf, text } from "./fields.ts";
import { buildPostgres, postgresSchema } from "./postgres-schema.ts";
import type { SecretField } from "./secret-field.ts";

const unitName = text.refine(
  (value) => /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.(service|socket|timer|target|path|mount|slice|scope)$/.test(value),
  { error: "must be the full name of one systemd unit, such as nginx.service" },
);

const keyPattern = text.refine((value) => value.replace(/\[[^\]]*\]|[*?]/g, "") !== "", {
  error: "must contain some literal text: a pattern that selects every key is refused",
});

const labelName = text.refine((value) => value.length <= 256, { error: "must be a label name" });

/** A target as it stands below its name. */
export function targetSchema(secret: SecretField) {
  return z.strictObject({
    host: text
      .refine((value) => /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(value), { error: "must be a host name" })
      .optional(),
    labels: z.record(labelName, someOf(text)).optional(),
    postgres: postgresSchema(secret).optional(),
    redis: z.strictObject({ url: secret("url", ["redis:", "rediss:"]), keyPatterns: someOf(keyPattern) }).optional(),
    systemd: z.strictObject({ units: someOf(unitName) }).optional(),
    django: djangoSchema(secret).optional(),
    http: z.strictObject({ baseUrl: httpUrl }).optional(),
  });
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
    ...(parsed.postgres && { postgres: buildPostgres(parsed.postgres) }),
    ...(parsed.redis && { redis: { ...parsed.redis, url: parsed.redis.url.reveal() } }),
    ...(parsed.systemd && { systemd: parsed.systemd }),
    ...(parsed.django && { django: buildDjango(parsed.django) }),
    ...(parsed.http && { http: parsed.http }),
  };
}
