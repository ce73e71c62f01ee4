/** Reads, compares and replaces the files of drop-ins, all or none of them, each by a rename. */

import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Failure } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import { type DropIn, readDropIn } from "./drop-in.ts";

/** A drop-in that is to be replaced. `from` is the value that it must set now; null: there must be none. */
export interface FileChange {
  readonly path: string;
  readonly name: string;
  readonly from: string | null;
  readonly to: DropIn | null;
}

/** The text of a file; null where there is none. */
export async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isCode(error, "ENOENT")) return null;
    throw error;
  }
}

/** The Failure where a file is neither as it was when this was planned nor as it is to become. */
export async function isAsPlanned(changes: readonly FileChange[]): Promise<Failure | null> {
  for (const { path, name, from, to } of changes) {
    const text = await readText(path);
    const present = text === null ? null : readDropIn(name, text);
    const isForeign = text !== null && !present;
    const value = present?.value ?? null;
    if (isForeign || (value !== from && value !== (to?.value ?? null))) {
      return lasting(
        `${path} has been changed since this was planned, so it was left as it is. Look at it, and plan anew.`,
      );
    }
  }
  return null;
}

/** What was written, and how to put back what was there. */
export interface Written {
  readonly status: "written";
  undo(): Promise<void>;
}

/** Gives each file its text, or removes it where that is null. Where one cannot be written none is. */
export async function replaceTexts(
  files: readonly { readonly path: string; readonly text: string | null }[],
): Promise<Written | Failure> {
  const before: { readonly path: string; readonly text: string | null }[] = [];
  const undo = async () => {
    for (const { path, text } of before.splice(0).reverse()) await replaceText(path, text);
  };
  for (const { path, text } of files) {
    try {
      before.push({ path, text: await readText(path) });
      await replaceText(path, text);
    } catch (error) {
      before.pop();
      await undo();
      if (isCode(error, "EACCES") || isCode(error, "EPERM") || isCode(error, "EROFS")) {
        return lasting(`Paramedic may not write ${dirname(path)}. Give its user that folder (docs/operating.md).`);
      }
      throw error;
    }
  }
  return { status: "written", undo };
}

async function replaceText(path: string, text: string | null): Promise<void> {
  const folder = dirname(path);
  if (text === null) {
    await rm(path, { force: true });
    // Only an empty folder goes, and only where Paramedic may remove it.
    await rmdir(folder).catch(() => undefined);
    return;
  }
  await mkdir(folder, { recursive: true, mode: 0o755 });
  // systemd reads only names that end in .conf, so it never sees half a file.
  const draft = join(folder, `.paramedic-${randomBytes(6).toString("hex")}`);
  try {
    const file = await open(draft, "wx", 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}
