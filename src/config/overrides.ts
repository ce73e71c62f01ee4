/** The environment variables that override the file: DATABASE_URL, REDIS_URL, PARAMEDIC_LISTEN and LOG_LEVEL. */

import type { LogLevel } from "./config.ts";
import { listenAddress } from "./fields.ts";
import type { Problem } from "./problems.ts";
import { logLevel } from "./schema.ts";
import { createSecret, passwordsOf, type Secret } from "./secret.ts";
import { problemOf } from "./secret-field.ts";

export interface Overrides {
  readonly database: Secret | null;
  readonly redis: Secret | null;
  readonly listen: { readonly host: string; readonly port: number } | null;
  readonly level: LogLevel | null;
  /** The sections of the file that are not read because of these. */
  readonly names: ReadonlySet<string>;
  readonly problems: readonly Problem[];
}

/** Reads them all. A variable that is set but empty is a problem: it may be a secret that failed to arrive. */
export function readOverrides(env: Readonly<Record<string, string | undefined>>, values: Set<string>): Overrides {
  const problems: Problem[] = [];
  const names = new Set<string>();

  function report(variable: string, message: string): null {
    problems.push({ file: "environment", line: null, message: `${variable}: ${message}` });
    return null;
  }

  function url(variable: string, section: string, schemes: readonly string[]): Secret | null {
    const value = env[variable];
    if (value === undefined) return null;
    names.add(section);
    const problem = problemOf(value, `the environment variable ${variable}`, "url", schemes);
    if (problem !== null)
      return report(variable, value.trim() === "" ? "is set but empty; unset it or give a URL" : problem);
    for (const password of passwordsOf(value)) values.add(password);
    return createSecret(value);
  }

  const database = url("DATABASE_URL", "database", ["postgres:", "postgresql:"]);
  const redis = url("REDIS_URL", "redis", ["redis:", "rediss:"]);

  const listen = env["PARAMEDIC_LISTEN"] === undefined ? null : listenAddress.safeParse(env["PARAMEDIC_LISTEN"]);
  if (listen) names.add("listen");
  if (listen && !listen.success) report("PARAMEDIC_LISTEN", messagesOf(listen.error));

  const level = env["LOG_LEVEL"] === undefined ? null : logLevel.safeParse(env["LOG_LEVEL"].toLowerCase());
  if (level && !level.success) report("LOG_LEVEL", messagesOf(level.error));

  return {
    database,
    redis,
    listen: listen?.success ? listen.data : null,
    level: level?.success ? level.data : null,
    names,
    problems,
  };
}

function messagesOf(error: { readonly issues: readonly { readonly message: string }[] }): string {
  return error.issues.map((issue) => issue.message).join("; ");
}
