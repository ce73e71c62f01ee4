/**
 * Real PostgreSQL servers for tests: one shared by a whole Jest run that hands out fresh databases, and private ones
 * for tests that stop, kill or reconfigure the server.
 */

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, mkdir, open, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { findPostgresBinaries, type PostgresBinaries } from "../../src/store/embedded-binaries.ts";
import { chooseServerUser, type ServerUser } from "../../src/store/embedded-user.ts";
import { freePort } from "./free-port.ts";
import { type Child, isAlive, startChild } from "./process.ts";
import { runFolder, temporaryFolder } from "./run-folder.ts";
import { until } from "./until.ts";

/** A server that hands out databases. The superuser is `postgres`; any password is accepted. */
export interface Databases {
  /** A fresh, empty database. */
  readonly url: string;
  /** The database `postgres` of the same server. */
  readonly adminUrl: string;
  readonly port: number;
  /** Makes another fresh database and returns its URL. */
  newDatabase(): Promise<string>;
}

/** A server of one test's own. */
export interface TestPostgres extends Databases {
  /** The postmaster's process id; another one after `start`. */
  readonly pid: number;
  /** Fast shutdown: sessions are ended, everything is written. */
  stop(): Promise<void>;
  /** SIGKILL for the postmaster; its backends notice and end by themselves. */
  kill(): void;
  /** Starts it again with the same data on the same port. */
  start(): Promise<void>;
}

/** How a private server differs from the usual one. */
export interface PostgresOptions {
  /** Settings as in postgresql.conf, for example `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether data survives a crash of the machine (fsync); `false`, since that is slow. A SIGKILL loses nothing either way. */
  readonly durable?: boolean;
}

const SETTINGS = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "200",
  shared_buffers: "64MB",
  wal_level: "replica",
  max_wal_senders: "10",
  max_replication_slots: "10",
  shared_preload_libraries: "pg_stat_statements",
  timezone: "UTC",
};
const FAST = { fsync: "off", full_page_writes: "off" };

/** Starts a PostgreSQL in a temporary folder of its own. It ends with `stop`, at the latest with the test file. */
export async function startPostgres({ settings = {}, durable = false }: PostgresOptions = {}): Promise<TestPostgres> {
  const installation = await install();
  const all = { ...SETTINGS, ...(durable ? {} : FAST), ...settings };
  let { child, port } = await onFreePort((candidate) => launch(installation, candidate, all));
  const databases = await databasesOf(port);
  return {
    ...databases,
    get pid() {
      return child.pid;
    },
    stop: async () => {
      await child.stop("SIGINT", 20_000);
    },
    kill: () => {
      child.process.kill("SIGKILL");
    },
    start: async () => {
      await child.exited;
      // Backends of a killed postmaster hold its shared memory for a moment, and the port with it.
      child = await until(() => launch(installation, port, all), {
        timeoutMs: 30_000,
        what: "Postgres to start again",
      });
    },
  };
}

/**
 * A fresh database on the server that all test files of this Jest run share. The first caller starts the server;
 * `global-teardown.ts` ends it.
 */
export async function sharedPostgres(): Promise<Databases> {
  const folder = join(runFolder(), "shared-postgres");
  const ready = join(folder, "port");
  try {
    await mkdir(folder, { mode: 0o711 });
    const port = await startShared(folder);
    await writeFile(`${ready}.new`, String(port));
    await rename(`${ready}.new`, ready);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const port = await until(() => readFile(ready, "utf8"), {
    timeoutMs: 60_000,
    what: "the shared Postgres of this run to be started by another test file",
  });
  return await databasesOf(Number(port));
}

interface Installation {
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser;
  readonly data: string;
}

async function install(): Promise<Installation> {
  const folder = await temporaryFolder("postgres");
  const user = await chooseServerUser(folder);
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const binaries = await findPostgresBinaries(user);
  const data = join(folder, "data");
  const locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
  const args = [`--pgdata=${data}`, "--username=postgres", "--auth=trust", "--no-sync", "--no-instructions", ...locale];
  await promisify(execFile)(binaries.initdb, args, { ...user, cwd: folder, env: serverEnvironment(), timeout: 60_000 });
  return { binaries, user, data };
}

async function launch(installation: Installation, port: number, settings: Record<string, string>): Promise<Child> {
  const { binaries, user, data } = installation;
  const child = await startChild(binaries.postgres, serverArguments(data, port, settings), {
    name: "postgres",
    ...user,
    cwd: data,
    env: serverEnvironment(),
  });
  await child.waitForOutput("database system is ready to accept connections", 60_000);
  return child;
}

async function startShared(folder: string): Promise<number> {
  const { binaries, user, data } = await install();
  const log = await open(join(folder, "log"), "w");
  try {
    return (
      await onFreePort(async (port) => {
        const server = await startChild(binaries.postgres, serverArguments(data, port, { ...SETTINGS, ...FAST }), {
          name: "the shared postgres",
          ...user,
          cwd: data,
          env: serverEnvironment(),
          detached: true,
          shared: true,
          stdio: ["ignore", log.fd, log.fd],
        });
        await until(() => !isAlive(server.pid) || answers(port), {
          timeoutMs: 60_000,
          what: "Postgres to answer",
        });
        if (!isAlive(server.pid)) throw new Error(`Postgres ended: ${await readFile(join(folder, "log"), "utf8")}`);
        return server;
      })
    ).port;
  } finally {
    await log.close();
  }
}

async function onFreePort(start: (port: number) => Promise<Child>): Promise<{ child: Child; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      return { child: await start(port), port };
    } catch (error) {
      if (attempt === 3 || !String(error).includes("Address already in use")) throw error;
    }
  }
}

async function databasesOf(port: number): Promise<Databases> {
  const urlOf = (database: string) => `postgres://postgres:postgres@127.0.0.1:${port}/${database}`;
  const adminUrl = urlOf("postgres");
  const newDatabase = async () => {
    const name = `test_${randomBytes(6).toString("hex")}`;
    await query(adminUrl, `CREATE DATABASE ${name}`);
    return urlOf(name);
  };
  return { url: await newDatabase(), adminUrl, port, newDatabase };
}

/** Sends one statement in a session of its own and returns the rows. */
export async function query(
  url: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}

async function answers(port: number): Promise<boolean> {
  await query(`postgres://postgres@127.0.0.1:${port}/postgres`, "SELECT 1");
  return true;
}

function serverArguments(data: string, port: number, settings: Record<string, string>): string[] {
  return [
    "-D",
    data,
    "-p",
    String(port),
    ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
}

function serverEnvironment(): Record<string, string> {
  return { LC_ALL: "C", TZ: "UTC" };
}
