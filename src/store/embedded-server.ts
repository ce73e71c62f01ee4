/** Creates the data of an embedded Postgres once and runs its server: started on a free port, restarted when it dies, stopped. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import type { PostgresBinaries } from "./embedded-binaries.ts";
import { type Place, SHUTDOWNS } from "./embedded-folder.ts";

/** A running server. */
export interface Server {
  readonly process: ChildProcess;
  readonly port: number;
}

/** Nothing of our own environment, least of all its secrets, reaches the server. */
const ENVIRONMENT = { LC_ALL: "C", TZ: "UTC" };
const START_DEADLINE_MS = 120_000;

/** The folder's data, made with a new password if there is none yet. A creation that was killed half-way starts anew. */
export async function initialise(
  { folder, user }: Place,
  binaries: PostgresBinaries,
): Promise<{ data: string; password: string }> {
  const data = join(folder, "data");
  const passwordFile = join(folder, "password");
  if ((await readdir(data).catch(() => [])).length > 0) {
    return { data, password: await savedPassword(passwordFile) };
  }
  const unfinished = join(folder, "data.unfinished");
  await rm(unfinished, { recursive: true, force: true, maxRetries: 5 });
  const password = randomBytes(24).toString("hex");
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) await chown(passwordFile, user.uid, user.gid);
  const locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
  const access = ["--username=postgres", "--auth=scram-sha-256", `--pwfile=${passwordFile}`];
  const options = { ...user, cwd: folder, env: ENVIRONMENT, timeout: START_DEADLINE_MS };
  await promisify(execFile)(binaries.initdb, [`--pgdata=${unfinished}`, ...access, ...locale], options);
  await rename(unfinished, data);
  return { data, password };
}

async function savedPassword(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    throw new Error(`The embedded Postgres has data but its password cannot be read from ${file}. Restore that file.`, {
      cause: error,
    });
  }
}

/** Starts the server on `port`, or on a free one, and waits until `url(port)` answers, for at most two minutes. */
export async function launch(
  { folder, user }: Place,
  binaries: PostgresBinaries,
  url: (port: number) => string,
  wantedPort?: number,
): Promise<Server> {
  const deadline = performance.now() + START_DEADLINE_MS;
  const logFile = join(folder, "postgres.log");
  await mkdir(folder, { recursive: true });
  for (;;) {
    const port = wantedPort ?? (await freePort());
    await rename(logFile, `${logFile}.1`).catch(() => undefined);
    const log = await open(logFile, "w", 0o600);
    const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "log_checkpoints=off"];
    const process = spawn(
      binaries.postgres,
      ["-D", join(folder, "data"), "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])],
      // In a session of its own: Ctrl-C in a terminal must reach us alone, so that our work ends before the database.
      { ...user, cwd: folder, env: ENVIRONMENT, detached: true, stdio: ["ignore", log.fd, log.fd] },
    );
    const ended = new Promise<true>((resolve) => {
      process.once("error", () => resolve(true));
      process.once("exit", () => resolve(true));
    });
    await log.close();
    if (await answers(url(port), ended, deadline)) return { process, port };
    const said = (await readFile(logFile, "utf8")).trim();
    // Both pass: another program took the port; a killed server's last children still hold its memory.
    const passing = /Address already in use|shared memory block|lock file "postmaster.pid" already exists/.test(said);
    if (!passing || performance.now() > deadline) {
      await stopServer(process);
      throw new Error(`The embedded Postgres in ${folder} did not start: ${said || "it said nothing"}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Ends the server: sessions are closed and everything is written. What does not end in time is ended harder. */
export async function stopServer(process: ChildProcess): Promise<void> {
  for (const [signal, patienceMs] of SHUTDOWNS) {
    if (process.pid === undefined || process.exitCode !== null || process.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => {
      process.once("exit", () => resolve());
    });
    process.kill(signal);
    await within(patienceMs, ended);
  }
}

/** Sends one statement in a session of its own, with deadlines. */
export async function query(
  url: string,
  sql: string,
  values: readonly string[] = [],
): Promise<{ rowCount: number | null }> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 60_000 });
  // An idle session that breaks also says so here; the statement's own error is what counts.
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await client.query(sql, [...values]);
  } finally {
    await client.end();
  }
}

async function answers(url: string, ended: Promise<true>, deadline: number): Promise<boolean> {
  while (performance.now() < deadline) {
    const attempt = query(url, "SELECT 1").then(
      () => "answered" as const,
      (error: { code?: string }) => (error.code === "28P01" ? ("refused" as const) : ("not yet" as const)),
    );
    const result = await Promise.race([attempt, ended.then(() => "ended" as const)]);
    if (result === "answered") return true;
    if (result !== "not yet") return false;
    await within(50, ended);
  }
  return false;
}

async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, deadline]);
  clearTimeout(timer);
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", resolve);
  });
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === "string") throw new Error("The system named no port.");
  return address.port;
}
