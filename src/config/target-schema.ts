/** The schema of one target. What selects things in it is listed by name: nothing in it can mean "all". */

import { z } from "zod";

import type { Target } from "../domain/target.ts";
import { absolutePath, httpUrl, someOf, text } from "./fields.ts";
import type { SecretField } from "./secret-field.ts";

const exactName = text.refine((value) => !value.includes("*"), {
  error: "must be an exact name: * is refused, an empty or open selection never means all",
});

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
    postgres: z
      .strictObject({
        url: secret("url", ["postgres:", "postgresql:"]),
        users: someOf(exactName),
        databases: someOf(exactName),
      })
      .optional(),
    redis: z.strictObject({ url: secret("url", ["redis:", "rediss:"]), keyPatterns: someOf(keyPattern) }).optional(),
    systemd: z.strictObject({ units: someOf(unitName) }).optional(),
    django: z
      .strictObject({
        project: absolutePath,
        python: absolutePath,
        settings: text.refine((value) => /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(value), {
          error: "must be a Python module name such as site.settings",
        }),
      })
      .optional(),
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
    ...(parsed.postgres && { postgres: { ...parsed.postgres, url: parsed.postgres.url.reveal() } }),
    ...(parsed.redis && { redis: { ...parsed.redis, url: parsed.redis.url.reveal() } }),
    ...(parsed.systemd && { systemd: parsed.systemd }),
    ...(parsed.django && { django: parsed.django }),
    ...(parsed.http && { http: parsed.http }),
  };
}
