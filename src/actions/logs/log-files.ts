/** Finds a target's log files: those whose names its configuration allows, and what they become when they are rotated. */

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { posix } from "node:path";
import type { Failure } from "../../domain/action.ts";
import { entriesOf, type OpenFolder, openFolder, shownName } from "../files/folder.ts";
import { matchesGlob } from "../glob.ts";

/** A log file that is open. */
export interface LogFile {
  readonly path: string;
  readonly file: FileHandle;
  readonly compressed: boolean;
  readonly bytes: number;
  /** When it was last written, in milliseconds since 1970. */
  readonly modifiedMs: number;
}

/** A file that is left out, and why. */
export interface Unread {
  readonly file: string;
  readonly why: string;
}

/** By the ends of names: what rotated files are compressed with. Only gzip is read. */
const compressors: Readonly<Record<string, string>> = { gz: "gzip", xz: "xz", zst: "zstd", bz2: "bzip2", lz4: "lz4" };

/** A number or a time, as logrotate and Python's handlers put it behind a name: `.1`, `-20261122`, `.2026-11-22_03`. */
const rotation = /[._-]\d{1,14}(?:[-_T:]\d{1,14}){0,6}$/;

/** `error.log`, also as `error.log.1`, `error.log-20261122.gz`, `error.log.2026-11-22` or `error.log.gz`. */
export function isLogName(pattern: string, name: string): boolean {
  if (name.startsWith(".")) return false;
  const plain = compressorOf(name) === null ? name : name.slice(0, name.lastIndexOf("."));
  return [name, plain, plain.replace(rotation, "")].some((one) => matchesGlob(pattern, one));
}

/** What the file is compressed with, by its name; null: it is not. */
function compressorOf(name: string): string | null {
  const end = /\.([a-z0-9]+)$/.exec(name)?.[1] ?? "";
  return Object.hasOwn(compressors, end) ? (compressors[end] ?? null) : null;
}

/**
 * Opens the files, one after the other; each is to be closed by whoever takes it. Links are left out, and so is what was
 * last written before `fromMs`. A folder that cannot be opened is a Failure.
 */
export async function* openLogs(
  allowed: readonly string[],
  fromMs: number,
): AsyncGenerator<LogFile | (Unread & { readonly status: "unread" }) | Failure> {
  for (const path of new Set(allowed.map((file) => posix.dirname(file)))) {
    const folder = await openFolder(path);
    if (folder.status === "failed") {
      yield folder;
      continue;
    }
    try {
      const patterns = allowed.filter((file) => posix.dirname(file) === path).map((file) => posix.basename(file));
      for await (const { name, stat } of entriesOf(folder)) {
        if (stat.isDirectory() || !patterns.some((pattern) => isLogName(pattern, name))) continue;
        const shown = shownName(posix.join(path, name));
        if (!stat.isFile())
          yield { status: "unread", file: shown, why: stat.isSymbolicLink() ? "it is a link" : "it is no file" };
        else if (Number(stat.mtimeMs) >= fromMs) yield await openLog(folder, name, shown);
      }
    } finally {
      await folder.close();
    }
  }
}

async function openLog(
  folder: OpenFolder,
  name: string,
  path: string,
): Promise<LogFile | (Unread & { status: "unread" })> {
  const compressor = compressorOf(name);
  if (compressor !== null && compressor !== "gzip") {
    const why = `it is compressed with ${compressor}, and only gzip is read; have the rotation use gzip`;
    return { status: "unread", file: path, why };
  }
  let file: FileHandle | null = null;
  try {
    // Not blocking, since what was a file when it was listed may be a pipe now.
    file = await open(folder.at(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile()) throw Object.assign(new Error("no file"), { code: "EINVAL" });
    return { path, file, compressed: compressor !== null, bytes: stat.size, modifiedMs: stat.mtimeMs };
  } catch (error) {
    await file?.close();
    return { status: "unread", file: path, why: whyNot(error) };
  }
}

/** Why a file could not be read, for people. */
export function whyNot(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "ENOENT") return "it vanished";
  if (code === "EACCES" || code === "EPERM") return "Paramedic may not read it";
  if (code === "ELOOP") return "it is a link";
  if (code === "EINVAL") return "it is no file";
  if (code.startsWith("Z_")) return "it is no whole gzip file";
  return `it cannot be read (${code || "unknown error"})`;
}
