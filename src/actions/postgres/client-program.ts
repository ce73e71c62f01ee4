/** Runs pg_dump and pg_restore: by argv, with the password in their own environment only, ended whole with the signal. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { shorten } from "./query-text.ts";

const usualFolders = "/usr/local/bin:/usr/bin:/bin";
const longestOutput = 64 * 1_048_576;
const longestErrors = 16_384;
/** Between being asked to end and being made to. */
const killAfterMs = 1_000;

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
  // A group of its own, so that whatever it starts ends with it.
  const child = spawn(command, args, {
    cwd: "/",
    detached: true,
    env: environmentFor(postgres.url, options.database),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: Buffer[] = [];
  let bytes = 0;
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= longestOutput) output.push(chunk);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors = (errors + chunk.toString("utf8")).slice(-longestErrors);
  });
  let killer: NodeJS.Timeout | undefined;
  const end = () => {
    endGroup(child.pid, "SIGTERM");
    killer = setTimeout(() => endGroup(child.pid, "SIGKILL"), killAfterMs);
  };
  signal.addEventListener("abort", end, { once: true });
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    if (signal.aborted) return passing(`Stopped while ${program} ran.`);
    if (bytes > longestOutput) return lasting(`${program} printed more than ${longestOutput / 1_048_576} MiB.`);
    if (code === 0) return { status: "ended", output: Buffer.concat(output).toString("utf8") };
    return lasting(`${program} failed (exit code ${code}): ${reasonIn(errors)}`);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES") {
      return lasting(
        `There is no ${command} that can be run. Install PostgreSQL's client programs, or correct postgres.binDir.`,
      );
    }
    throw error;
  } finally {
    clearTimeout(killer);
    signal.removeEventListener("abort", end);
  }
}

/** What libpq reads of the configured URL. Nothing of Paramedic's own environment is passed on. */
function environmentFor(configured: string, database: string): NodeJS.ProcessEnv {
  const url = new URL(configured);
  const parameter = (name: string, variable: string) => {
    const value = url.searchParams.get(name);
    return value === null ? {} : { [variable]: value };
  };
  return {
    PATH: usualFolders,
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

function endGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended.
  }
}

/** The last line that says what went wrong. */
function reasonIn(errors: string): string {
  const lines = errors.split("\n").filter((line) => line.trim() !== "");
  const telling = lines.findLast((line) => /error|fatal|aborting/i.test(line)) ?? lines.at(-1) ?? "it said nothing";
  return shorten(telling, 300);
}
