/** The schema of a target's `systemd:`: which units, which of their environment variables, how long a restart is watched. */

import { z } from "zod";

import type { SystemdTarget } from "../domain/target.ts";
import { absolutePath, duration, someOf, text } from "./fields.ts";

const unitName = text.refine(
  (value) =>
    value.length <= 255 &&
    /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.(service|socket|timer|target|path|mount|slice|scope)$/.test(value),
  { error: "must be the full name of one systemd unit, such as nginx.service" },
);

/** What loaders and interpreters read before the program itself runs: whoever sets these runs code as the unit's user. */
const loaded = /^(?:LD_|DYLD_|GLIBC_|GCONV_|PYTHON|NODE_|PERL|RUBY|JAVA_|JDK_|BASH_|GIT_)|^(?:PATH|IFS|ENV|SHELL)$/i;

const variableName = text
  .refine((value) => /^[A-Za-z_][A-Za-z0-9_]{0,99}$/.test(value), {
    error: "must be the name of one environment variable, such as CACHE_TIMEOUT",
  })
  .refine((value) => !loaded.test(value), {
    error: "must not be a variable by which code is loaded, such as LD_PRELOAD, PATH or PYTHONPATH",
  });

/** A target's `systemd:` as it is written. */
export const systemdSchema = z
  .strictObject({
    units: someOf(unitName),
    environment: z.record(z.string(), someOf(variableName)).optional(),
    settle: duration({ atLeastMs: 1_000 }).optional(),
    journal: absolutePath.optional(),
  })
  .superRefine(({ units, environment = {} }, context) => {
    for (const unit of Object.keys(environment)) {
      if (units.includes(unit) && unit.endsWith(".service")) continue;
      const message = "must be a service that stands in units, too";
      context.addIssue({ code: "custom", path: ["environment", unit], message });
    }
  });

/** The domain's part of the target. */
export function buildSystemd(parsed: z.output<typeof systemdSchema>): SystemdTarget {
  const { units, environment, settle, journal } = parsed;
  return {
    units,
    ...(environment && { environment: Object.assign(Object.create(null), environment) as Record<string, string[]> }),
    ...(settle !== undefined && { settleMs: settle }),
    ...(journal !== undefined && { journal }),
  };
}
