/** The folder of a target's backups: each is an archive of pg_dump and a small file that says what is in it. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import type { Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";

const manifestSchema = z.object({
  database: z.string(),
  takenAt: z.string(),
  serverVersion: z.int(),
  bytes: z.int(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** How many tables' rows the archive holds, as pg_restore lists them. */
  tables: z.int(),
});

/** What is known of a backup. */
export type Manifest = z.output<typeof manifestSchema>;

/** The name of a backup, without folder and ending. */
export const backupName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$/, {
  error: "must be the name of a backup, such as shop-0007",
});

/** The folder for backups, or the Failure that says why there is none. */
export async function backupFolder(postgres: PostgresTarget): Promise<{ readonly folder: string } | Failure> {
  const folder = postgres.backupFolder;
  if (folder === undefined) return lasting("The target has no folder for backups. Configure postgres.backupFolder.");
  const found = await stat(folder).catch(() => null);
  if (found?.isDirectory()) return { folder };
  return lasting(`${folder} is no folder on this host. Make it, or correct postgres.backupFolder.`);
}

export function archiveOf(folder: string, name: string): string {
  return join(folder, `${name}.dump`);
}

function manifestOf(folder: string, name: string): string {
  return join(folder, `${name}.json`);
}

/** The name after the last one of this database. Numbers, not times: two plans of the same backup are the same. */
export async function nextName(
  folder: string,
  database: string,
): Promise<{ readonly name: string; readonly last: string | null }> {
  const start = database.replace(/[^A-Za-z0-9_]/g, "_").slice(0, 80);
  const numbers = (await readdir(folder)).flatMap((file) => {
    const number = file.startsWith(`${start}-`)
      ? /^(\d{4,9})\.dump$/.exec(file.slice(start.length + 1))?.[1]
      : undefined;
    return number === undefined ? [] : [Number(number)];
  });
  const last = Math.max(0, ...numbers);
  const named = (number: number) => `${start}-${String(number).padStart(4, "0")}`;
  return { name: named(last + 1), last: last === 0 ? null : named(last) };
}

/** What is known of the backup; null where it is not there whole. */
export async function readManifest(folder: string, name: string): Promise<Manifest | null> {
  try {
    const read = manifestSchema.safeParse(JSON.parse(await readFile(manifestOf(folder, name), "utf8")));
    const found = await stat(archiveOf(folder, name));
    return read.success && found.isFile() && found.size === read.data.bytes ? read.data : null;
  } catch {
    return null;
  }
}

/** Makes the finished archive known under its name: what it says of itself first, so that it is never there without. */
export async function keep(folder: string, name: string, partial: string, manifest: Manifest): Promise<void> {
  await writeFile(manifestOf(folder, name), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flush: true });
  await flushed(partial);
  await rename(partial, archiveOf(folder, name));
  await flushed(folder);
}

async function flushed(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The SHA-256 of a file, in hexadecimal. Throws where the signal aborts. */
export async function sha256Of(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash, { signal });
  return hash.digest("hex");
}

/** How many tables' rows are in an archive, by what `pg_restore --list` prints. */
export function tablesIn(list: string): number {
  return list.split("\n").filter((line) => /^\d+; \d+ \d+ TABLE DATA /.test(line)).length;
}
