/** Runs pg_dump and pg_restore: by argv, with the password in their own environment only, ended whole with the signal. */

import { join } from "node:path";
import type { Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { type Ended, runProgram } from "../program.ts";
import { clientCheckMs } from "./connect.ts";
import { shorten } from "./query-text.ts";

const usualFolders = "/usr/local/bin:/usr/bin:/bin";
const longestOutput = 64 * 1_048_576;
/** Between being asked to end, upon which it cancels its query, and being made to. */
const graceMs = 1_000;
/** The server ends what it does for a pg_restore that was killed. Servers before 14, which only pg_dump serves, have it not. */
const endsWithClient = { PGOPTIONS: `-c client_connection_check_interval=${clientCheckMs}` };

/** What a program printed; a Failure where it did not end well. A failure that may pass: it was stopped. */
export async function runClient(
  postgres: PostgresTarget,
  program: "pg_dump" | "pg_restore",
  args: readonly string[],
  options: { readonly database: string; readonly signal: AbortSignal },
): Promise<{ readonly status: "ended"; readonly output: string } | Failure> {
  const { signal } = options;
  if (signal.aborted) return passing(`Stopped before ${program} was started.`);
  const command = postgres.binDir === undefined ? program : join(postgres.binDir, program);
  const ended = await runProgram({
    program: command,
    args,
    folder: "/",
    env: { ...environmentFor(postgres.url, options.database), ...(program === "pg_restore" && endsWithClient) },
    signal,
    largestBytes: longestOutput,
    graceMs,
    // One that is killed with its worker must not go on writing where the next worker begins anew.
    mortal: true,
  });
  if (ended.unstarted) {
    return lasting(
      `There is no ${command} that can be run (${ended.unstarted}). Install PostgreSQL's client programs, or correct postgres.binDir.`,
    );
  }
  if (signal.aborted) return passing(`Stopped while ${program} ran.`);
  if (ended.tooLarge) return lasting(`${program} printed more than ${longestOutput / 1_048_576} MiB.`);
  if (ended.code === 0) return { status: "ended", output: ended.output };
  return lasting(`${program} failed (${howItEnded(ended)}): ${reasonIn(ended.errors)}`);
}

function howItEnded({ code, endedBy }: Ended): string {
  return code === null ? `ended by ${endedBy}` : `exit code ${code}`;
}

/** What libpq reads of the configured URL. Nothing of Paramedic's own environment is passed on. */
function environmentFor(configured: string, database: string): Record<string, string> {
  const url = new URL(configured);
  const parameter = (name: string, variable: string) => {
    const value = url.searchParams.get(name);
    return value === null ? {} : { [variable]: value };
  };
  return {
    PATH: usualFolders,
    LANG: "C",
    LC_ALL: "C",
    PGAPPNAME: "paramedic",
    PGCONNECT_TIMEOUT: "10",
    PGDATABASE: database,
    // In a URL an IPv6 host stands in brackets.
    PGHOST: url.searchParams.get("host") ?? decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1"),
    ...(url.port !== "" && { PGPORT: url.port }),
    ...(url.username !== "" && { PGUSER: decodeURIComponent(url.username) }),
    ...(url.password !== "" && { PGPASSWORD: decodeURIComponent(url.password) }),
    ...parameter("sslmode", "PGSSLMODE"),
    ...parameter("sslrootcert", "PGSSLROOTCERT"),
    ...parameter("sslcert", "PGSSLCERT"),
    ...parameter("sslkey", "PGSSLKEY"),
  };
}

/** The last line that says what went wrong. */
function reasonIn(errors: string): string {
  const lines = errors.split("\n").filter((line) => line.trim() !== "");
  const telling = lines.findLast((line) => /error|fatal|aborting/i.test(line)) ?? lines.at(-1) ?? "it said nothing";
  return shorten(telling, 300);
}
