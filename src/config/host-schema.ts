/** The schemas of what a target has on its host's disks: log files, folders and a checkout. */

import { posix } from "node:path";
import { z } from "zod";

import type { DeployTarget, LogsTarget } from "../domain/target.ts";
import { absolutePath, someOf, text } from "./fields.ts";

const plainPath = absolutePath.refine(
  (value) => posix.normalize(value) === value && value.length > 1 && !value.endsWith("/"),
  {
    error: "must be a plain path other than / without '..', '//' or a final slash",
  },
);

const logFile = text.refine(
  (value) => {
    const [folder, name] = [posix.dirname(value), posix.basename(value)];
    return (
      posix.normalize(value) === value &&
      value.startsWith("/") &&
      folder !== "/" &&
      !/[*?]/.test(folder) &&
      /[^*?.]/.test(name)
    );
  },
  { error: "must be an absolute path with wildcards in the last part only, such as /var/log/shop/*.log" },
);

const timeZone = text.refine(
  (value) => {
    try {
      new Intl.DateTimeFormat("en", { timeZone: value });
      return true;
    } catch {
      return false;
    }
  },
  { error: "must be a time zone such as Europe/Berlin or UTC" },
);

const system =
  /^\/(bin|boot|dev|etc|home|lib\w*|proc|root|run|sbin|sys|usr|var)$|^\/(bin|boot|dev|etc|lib\w*|proc|sbin|sys|usr)\//;

const folder = plainPath.refine((value) => !system.test(value), {
  error: "must not be / or a folder of the system: files in it may be deleted",
});

/** A target's `logs:` as it is written. */
export const logsSchema = z.strictObject({ files: someOf(logFile), timeZone: timeZone.optional() });

/** A target's `files:` as it is written. */
export const filesSchema = z.strictObject({ folders: someOf(folder) });

const tagPattern = text.refine(
  (value) => /^[A-Za-z0-9*?][A-Za-z0-9._/*?-]{0,99}$/.test(value) && /[A-Za-z0-9]/.test(value),
  {
    error: "must be a pattern of tags such as v*",
  },
);

const program = z
  .array(text, { error: "must be a list: a program and its arguments" })
  .min(1, { error: "must not be empty" })
  .refine(([first = ""]) => first.startsWith("/"), { error: "must begin with the absolute path of a program" });

const cacheName = text.refine((value) => /^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$/.test(value), {
  error: "must be a name in the project's CACHES",
});

/** A target's `deploy:` as it is written. */
export const deploySchema = z.strictObject({
  checkout: plainPath,
  tags: tagPattern,
  dependencies: program.optional(),
  clearCaches: someOf(cacheName).optional(),
  restart: someOf(text).optional(),
});

/** The domain's part of the target. */
export function buildLogs({ files, timeZone: zone }: z.output<typeof logsSchema>): LogsTarget {
  return { files, ...(zone !== undefined && { timeZone: zone }) };
}

/** The domain's part of the target. */
export function buildDeploy(parsed: z.output<typeof deploySchema>): DeployTarget {
  const { checkout, tags, dependencies, clearCaches = [], restart = [] } = parsed;
  return { checkout, tags, ...(dependencies && { dependencies }), caches: clearCaches, restart };
}

interface Whole {
  readonly deploy?: z.output<typeof deploySchema> | undefined;
  readonly django?: unknown;
  readonly systemd?: { readonly units: readonly string[] } | undefined;
}

/** What a deploy needs of the other parts of its target. */
export function checkDeploy({ deploy, django, systemd }: Whole, context: z.RefinementCtx): void {
  if (!deploy) return;
  if (deploy.clearCaches && !django) {
    const message = "needs the django: of this target";
    context.addIssue({ code: "custom", path: ["deploy", "clearCaches"], message });
  }
  for (const [index, unit] of (deploy.restart ?? []).entries()) {
    if (systemd?.units.includes(unit)) continue;
    const message = "must be one of the target's systemd.units";
    context.addIssue({ code: "custom", path: ["deploy", "restart", index], message });
  }
}
