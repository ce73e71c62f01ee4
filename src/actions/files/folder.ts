/**
 * A folder that was opened component by component without following a link, and what is in it, reached through the open
 * folder itself: whoever renames or replaces a part of the path meanwhile leads nowhere. Linux only, by /proc/self/fd.
 */

import type { BigIntStats } from "node:fs";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Failure } from "../../domain/action.ts";
import { lasting } from "../failure.ts";

// Opens a folder to go through it, for which the right to list it is not needed. Node has no name for it.
const O_PATH = 0o10000000;
const through = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const listing = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

export interface OpenFolder {
  readonly status: "open";
  /** As it is named to people. */
  readonly path: string;
  /** The path of an entry by which the system reaches it through the open folder. */
  at(name: string): string;
  /** The folder itself. */
  readonly itself: string;
  close(): Promise<void>;
}

/** Opens an absolute path. A link anywhere in it, and a folder that is not there, are Failures. */
export async function openFolder(path: string): Promise<OpenFolder | Failure> {
  const names = path.split("/").filter((name) => name !== "");
  let handle = await open("/", through);
  for (const [index, name] of names.entries()) {
    const flags = index === names.length - 1 ? listing : through;
    try {
      handle = await step(handle, name, flags);
    } catch (error) {
      const so = `/${names.slice(0, index + 1).join("/")}`;
      return lasting(reasonOf((error as NodeJS.ErrnoException).code ?? "", path, so));
    }
  }
  return folderOf(handle, path);
}

/** Opens a folder inside an open one; null where it is a link, no folder, not there or not to be read. */
export async function openInside(folder: OpenFolder, name: string): Promise<OpenFolder | null> {
  const handle = await open(folder.at(name), listing).catch(() => null);
  return handle && folderOf(handle, join(folder.path, name));
}

/** Which mount a folder is on. Another one may show the same file system, and still be something else. */
export async function mountOf(folder: OpenFolder): Promise<string> {
  const told = await readFile(folder.itself.replace("/fd/", "/fdinfo/"), "utf8");
  return /^mnt_id:\s*(\d+)$/m.exec(told)?.[1] ?? "";
}

async function step(from: FileHandle, name: string, flags: number): Promise<FileHandle> {
  try {
    return await open(`/proc/self/fd/${from.fd}/${name}`, flags);
  } finally {
    await from.close();
  }
}

function folderOf(handle: FileHandle, path: string): OpenFolder {
  const itself = `/proc/self/fd/${handle.fd}`;
  return { status: "open", path, itself, at: (name) => `${itself}/${name}`, close: () => handle.close() };
}

function reasonOf(code: string, path: string, so: string): string {
  if (code === "ENOENT") return `There is no folder ${path} on this host. Make it, or correct the target.`;
  if (code === "EACCES" || code === "EPERM") return `Paramedic may not open the folder ${so}. Give its user the right.`;
  if (code === "ELOOP" || code === "ENOTDIR") {
    return `${so} is a link or no folder. Links are not followed: configure the real path.`;
  }
  return `The folder ${so} cannot be opened (${code || "unknown error"}).`;
}

/** Something in a folder. */
export interface Entry {
  readonly name: string;
  readonly stat: BigIntStats;
}

/** What is in a folder, in the order of its names, links not followed. What vanishes meanwhile is left out. */
export async function* entriesOf(folder: OpenFolder): AsyncGenerator<Entry> {
  const names = (await readdir(folder.itself)).sort();
  for (const name of names) {
    // A name that is no UTF-8 cannot be told apart from others like it.
    if (name.includes("\uFFFD")) continue;
    const stat = await lstat(folder.at(name), { bigint: true }).catch(() => null);
    if (stat) yield { name, stat };
  }
}

/** A name as it may be shown: without what moves a cursor or begins a line. */
export function shownName(name: string): string {
  return name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
}

/** Bytes for people. */
export function shownBytes(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`;
}
