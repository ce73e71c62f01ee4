/** A server of Debian's PostgreSQL with its own pg_dump and pg_restore, which the embedded one does not bring along. */

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { chown } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { chooseServerUser } from "../../../src/store/embedded-user.ts";
import { freePort } from "../../support/free-port.ts";
import { type Databases, query } from "../../support/postgres.ts";
import { startChild } from "../../support/process.ts";
import { type RealService, realService } from "../../support/real-service.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { until } from "../../support/until.ts";

const versions = "/usr/lib/postgresql";

/** The folder of the newest installed version's programs. */
export const debianBinDir = join(versions, newest(), "bin");

/** Whether it is installed, and the `describe` for tests that need it. */
export const debianPostgres: RealService = realService(
  "PostgreSQL's server (Debian: postgresql)",
  join("../lib/postgresql", newest(), "bin", "initdb"),
);

function newest(): string {
  try {
    return readdirSync(versions).sort((one, other) => Number(other) - Number(one))[0] ?? "none";
  } catch {
    return "none";
  }
}

export interface DebianServer extends Databases {
  /** Starts a standby of it, under this name, with settings of its own. */
  startStandby(name: string, settings: Readonly<Record<string, string>>): Promise<{ stop(): Promise<void> }>;
  stop(): Promise<void>;
}

/** Starts a server in a folder of its own. Any password is accepted. */
export async function startDebianPostgres(): Promise<DebianServer> {
  const folder = await temporaryFolder("debian-postgres");
  const user = await chooseServerUser(folder);
  if (user) await chown(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const env = { LC_ALL: "C", TZ: "UTC" };
  const args = [
    `--pgdata=${data}`,
    "--username=postgres",
    "--auth=trust",
    "--no-sync",
    "--encoding=UTF8",
    "--locale=C",
  ];
  await promisify(execFile)(join(debianBinDir, "initdb"), args, { ...user, cwd: folder, env, timeout: 60_000 });
  const server = await serve(data, user, {});
  const { adminUrl, port } = server;
  const urlOf = (database: string) => adminUrl.replace(/postgres$/, database);
  const newDatabase = async () => {
    const name = `test_${randomBytes(6).toString("hex")}`;
    await query(adminUrl, `CREATE DATABASE ${name}`);
    return urlOf(name);
  };
  return {
    url: await newDatabase(),
    adminUrl,
    port,
    newDatabase,
    startStandby: (name, settings) => startStandby(port, name, settings),
    stop: server.stop,
  };
}

/** A copy of the server as it is, which then follows it. */
async function startStandby(
  primary: number,
  name: string,
  settings: Readonly<Record<string, string>>,
): Promise<{ stop(): Promise<void> }> {
  const folder = await temporaryFolder("debian-standby");
  const user = await chooseServerUser(folder);
  if (user) await chown(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const from = `host=127.0.0.1 port=${primary} user=postgres application_name=${name}`;
  const args = [`--pgdata=${data}`, `--dbname=${from}`, "--checkpoint=fast", "--no-sync", "--write-recovery-conf"];
  const env = { LC_ALL: "C", TZ: "UTC" };
  await promisify(execFile)(join(debianBinDir, "pg_basebackup"), args, { ...user, cwd: folder, env, timeout: 60_000 });
  return serve(data, user, { primary_conninfo: from, ...settings });
}

async function serve(
  data: string,
  user: Awaited<ReturnType<typeof chooseServerUser>>,
  more: Readonly<Record<string, string>>,
): Promise<{ readonly adminUrl: string; readonly port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    fsync: "off",
    full_page_writes: "off",
    ...more,
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const server = await startChild(join(debianBinDir, "postgres"), ["-D", data, "-p", String(port), ...options], {
    name: "Debian's postgres",
    ...user,
    cwd: data,
    env: { LC_ALL: "C", TZ: "UTC" },
  });
  const adminUrl = `postgres://postgres:postgres@127.0.0.1:${port}/postgres`;
  await until(() => query(adminUrl, "SELECT 1").catch(() => false), { timeoutMs: 30_000, what: "Debian's postgres" });
  return {
    adminUrl,
    port,
    stop: async () => {
      await server.stop("SIGINT", 20_000);
    },
  };
}
