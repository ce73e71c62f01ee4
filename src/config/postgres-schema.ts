/** The schema of a target's database: how it is reached, what may be touched there, and when. */

import { z } from "zod";

import { parseMaintenanceWindow } from "../domain/maintenance-window.ts";
import type { PostgresTarget } from "../domain/target.ts";
import { absolutePath, duration, someOf, text, whole } from "./fields.ts";
import type { SecretField } from "./secret-field.ts";

const exactName = text.refine((value) => !value.includes("*"), {
  error: "must be an exact name: * is refused, an empty or open selection never means all",
});

const userSchema = exactName.refine((value) => !/^(pg_|information_schema$)/.test(value), {
  error: "must not be a schema of the system",
});

const maintenanceWindow = text.transform((value, context) => {
  const window = parseMaintenanceWindow(value);
  if (window) return window;
  context.addIssue({ code: "custom", message: "must be a window such as Sun 02:00-05:00 Europe/Berlin" });
  return z.NEVER;
});

/** A database as it stands below `postgres`. */
export function postgresSchema(secret: SecretField) {
  return z.strictObject({
    url: secret("url", ["postgres:", "postgresql:"]),
    users: someOf(exactName),
    databases: someOf(exactName),
    schemas: someOf(userSchema).optional(),
    maintenance: z
      .array(maintenanceWindow, { error: "must be a list" })
      .min(1, { error: "must not be empty: leave it out where there is no window" })
      .optional(),
    dataFolder: absolutePath.optional(),
    minFreeMiB: whole(0, 1_048_576).optional(),
    maxReplicationLag: duration({ atLeastMs: 1_000 }).optional(),
    backupFolder: absolutePath.optional(),
    binDir: absolutePath.optional(),
  });
}

/** The domain's database of a target. */
export function buildPostgres(parsed: z.output<ReturnType<typeof postgresSchema>>): PostgresTarget {
  const { url, maxReplicationLag, schemas, maintenance, dataFolder, minFreeMiB, backupFolder, binDir } = parsed;
  return {
    url: url.reveal(),
    users: parsed.users,
    databases: parsed.databases,
    ...(schemas && { schemas }),
    ...(maintenance && { maintenance }),
    ...(dataFolder !== undefined && { dataFolder }),
    ...(minFreeMiB !== undefined && { minFreeMiB }),
    ...(maxReplicationLag !== undefined && { maxReplicationLagMs: maxReplicationLag }),
    ...(backupFolder !== undefined && { backupFolder }),
    ...(binDir !== undefined && { binDir }),
  };
}
