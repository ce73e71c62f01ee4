/** Decides as which user of the machine the embedded Postgres runs, since Postgres refuses to run as root. */

import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";

/** `undefined`: the user of this process. Otherwise the ids that the server is started with. */
export type ServerUser = { readonly uid: number; readonly gid: number } | undefined;

/**
 * The user for the server whose files are in `folder`: this process's own unless that is root; then the owner of an
 * existing folder, then `postgres`, then `nobody`. The machine's users are never changed.
 * Fails when this process is root and there is no such user.
 */
export async function chooseServerUser(folder: string): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(folder).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const user = (await userNamed("postgres")) ?? (await userNamed("nobody"));
  if (user !== undefined) return user;
  throw new Error(
    "The embedded Postgres cannot run as root and this machine has neither a user postgres nor nobody. " +
      "Start Paramedic as another user, or set DATABASE_URL.",
  );
}

/** Whether `user` may read `path` and enter every folder above it, judged by the permission bits. */
export async function isReachable(path: string, user: ServerUser): Promise<boolean> {
  if (user === undefined) return true;
  const absolute = resolve(path);
  if (!(await permits(absolute, user, 0o4))) return false;
  for (let folder = dirname(absolute); ; folder = dirname(folder)) {
    if (!(await permits(folder, user, 0o1))) return false;
    if (folder === dirname(folder)) return true;
  }
}

async function permits(path: string, user: { uid: number; gid: number }, wanted: number): Promise<boolean> {
  const { mode, uid, gid } = await stat(path);
  if (uid === user.uid) return ((mode >> 6) & wanted) === wanted;
  if (gid === user.gid) return ((mode >> 3) & wanted) === wanted;
  return (mode & wanted) === wanted;
}

async function userNamed(name: string): Promise<ServerUser> {
  try {
    const [uid, gid] = await Promise.all(["-u", "-g"].map((flag) => idOf(flag, name)));
    return uid === undefined || gid === undefined ? undefined : { uid, gid };
  } catch {
    return undefined;
  }
}

async function idOf(flag: string, name: string): Promise<number> {
  const { stdout } = await promisify(execFile)("id", [flag, name], { timeout: 5000 });
  return Number.parseInt(stdout, 10);
}
