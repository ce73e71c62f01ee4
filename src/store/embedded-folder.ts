/**
 * The folder of one embedded Postgres: where it may be, which process it belongs to, and what a killed process left
 * running in it.
 */

import { createHash } from "node:crypto";
import { chmod, chown, link, mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { chooseServerUser, isReachable, type ServerUser } from "./embedded-user.ts";
import { commandLine, isAlive, startOf, waitForEnd } from "./processes.ts";

/** A folder that the server's user can use, and that user. */
export interface Place {
  readonly folder: string;
  readonly user: ServerUser;
}

/** Holds the folders of those whose own folder lies where the server's user may not go, as below root's home. */
const OTHER_PLACES = "/var/lib/paramedic";

/**
 * Makes the folder and gives it to the server's user. Another one is taken, always the same for a wanted folder, if that
 * user cannot get there, and for as long as there is data in the other one.
 */
export async function prepareFolder(wanted: string): Promise<Place> {
  const absolute = resolve(wanted);
  const other = join(OTHER_PLACES, createHash("sha256").update(absolute).digest("hex").slice(0, 12));
  if (!(await holdsData(other))) {
    const place = await prepare(absolute);
    if (await isReachable(absolute, place.user)) return place;
    if (await holdsData(absolute)) throw unreachable(absolute);
    await rmdir(absolute);
    await mkdir(OTHER_PLACES, { recursive: true });
    await chmod(OTHER_PLACES, 0o755);
  }
  return await prepare(other);
}

async function holdsData(folder: string): Promise<boolean> {
  return (await readdir(join(folder, "data")).catch(() => [])).length > 0;
}

function unreachable(folder: string): Error {
  return new Error(
    `The embedded Postgres has its data in ${folder}, where its user may not go any more. ` +
      "Let others enter the folders above it again (chmod o+x), or move it, or set DATABASE_URL.",
  );
}

async function prepare(folder: string): Promise<Place> {
  const user = await chooseServerUser(folder);
  // Only the folder itself is private: where this is root, the server's user must be able to enter those above it.
  await mkdir(dirname(folder), { recursive: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (user !== undefined && (await stat(folder)).uid === 0) await chown(folder, user.uid, user.gid);
  return { folder, user };
}

/**
 * Makes this process the only one that runs a Postgres in `folder` and returns the function that gives it up. What a
 * killed process left behind is cleared away. Fails when another living process has the folder.
 */
export async function claimFolder(folder: string): Promise<() => Promise<void>> {
  const claim = join(folder, "owner");
  const mine = `${process.pid} ${await startOf(process.pid)}`;
  const candidate = `${claim}.${process.pid}`;
  for (;;) {
    await writeFile(candidate, mine);
    const taken = await link(candidate, claim).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
        return false;
      },
    );
    await rm(candidate, { force: true });
    if (taken) return () => rm(claim, { force: true });
    await removeIfStale(claim, folder);
  }
}

async function removeIfStale(claim: string, folder: string): Promise<void> {
  const owner = await readFile(claim, "utf8").catch(() => undefined);
  if (owner === undefined) return;
  const [pid = "0", startedAt = ""] = owner.split(" ");
  if ((await isAlive(Number(pid))) && (await startOf(Number(pid))) === startedAt) {
    throw new Error(
      `The embedded Postgres in ${folder} belongs to process ${pid}, which is running. ` +
        "Stop that one, or set DATABASE_URL to share one Postgres between several.",
    );
  }
  // Renamed first: of two processes that both found it stale, only one can remove it, and neither a newer one.
  const removed = `${claim}.stale.${process.pid}`;
  await rename(claim, removed).catch(() => undefined);
  const taken = await readFile(removed, "utf8").catch(() => owner);
  if (taken !== owner) await link(removed, claim).catch(() => undefined);
  await rm(removed, { force: true });
}

/**
 * Ends a server that still runs on `data` although the process that started it is gone; its data is written first.
 * Returns its process id, or undefined when there was none.
 */
export async function stopOrphan(data: string): Promise<number | undefined> {
  const [pid = ""] = (await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
  const orphan = Number.parseInt(pid, 10);
  if (!(orphan > 0 && (await isAlive(orphan)) && (await commandLine(orphan)).includes(data))) return undefined;
  for (const [signal, patienceMs] of SHUTDOWNS) {
    process.kill(orphan, signal);
    if (await waitForEnd(orphan, patienceMs)) return orphan;
  }
  throw new Error(`An earlier Postgres (process ${orphan}) on ${data} does not end. End it, then start again.`);
}

/** Postgres's fast shutdown, its immediate one, and the end; with the time given to each in milliseconds. */
export const SHUTDOWNS = [
  ["SIGINT", 30_000],
  ["SIGQUIT", 10_000],
  ["SIGKILL", 5_000],
] as const;
