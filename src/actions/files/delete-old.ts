/** `files.delete-old`: deletes old files whose names are as a pattern says, in one folder that the target lists, exactly those planned. */

import type { BigIntStats } from "node:fs";
import { lstat, unlink } from "node:fs/promises";
import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import { matchesGlob } from "../glob.ts";
import { allowedFolders, notListed } from "./allowed-folder.ts";
import { entriesOf, mountOf, type OpenFolder, openFolder, openInside, shownBytes, shownName } from "./folder.ts";

const dayMs = 86_400_000;
const deepest = 16;
const shownFiles = 50;
const mostLooked = 500_000;

const input = z.strictObject({
  /** One of the target's `files.folders`, exactly as it stands there. */
  folder: z
    .string()
    .regex(/^\/[^/]/)
    .max(1_000),
  /** Of names, with `*` and `?`: `*.log.*.gz`. Some of it must be neither a wildcard nor a dot. */
  pattern: z
    .string()
    .max(200)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
    .refine((text) => /[^*?.]/.test(text) && !/[/\u0000-\u001f\u007f]/.test(text) && text.trim() === text, {
      error: "must be a pattern of names such as *.log.*.gz, with more in it than wildcards and dots",
    }),
  /** Files that were last written longer ago than this. */
  olderThanDays: z.int().min(1).max(36_500),
  /** Whether folders inside the folder are searched as well; what is mounted there is not. */
  subfolders: z.boolean().default(false),
  /** At most so many, the oldest first. */
  atMost: z.int().min(1).max(5_000).default(1_000),
});

type Input = z.output<typeof input>;

type PlannedFile = {
  /** From the folder on. */
  readonly path: string;
  readonly bytes: number;
  /** What identifies it as it was: device and inode, and when it was last written, in nanoseconds since 1970. */
  readonly inode: string;
  readonly modified: string;
};

export type DeletePlan = { readonly folder: string; readonly files: readonly PlannedFile[] };

export const deleteOld: ChangeAction<Input, DeletePlan> = {
  name: "files.delete-old",
  summary: "Deletes old files in one of a target's folders.",
  onHost: true,
  input,
  kind: "change",
  risk: "low",
  repeat: "safe",
  plan,
  apply,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<DeletePlan>> {
  const folder = await allowedFolder(input.folder, context);
  if (folder.status === "failed") return folder;
  try {
    const before = context.now() - input.olderThanDays * dayMs;
    const mount = await mountOf(folder);
    const search: Search = { ...input, before, mount, signal: context.signal, found: [], looked: 0 };
    const failure = await find(folder, "", search, 1);
    if (failure) return failure;
    const order = search.found.sort(
      (a, b) => compare(BigInt(a.modified), BigInt(b.modified)) || compare(a.path, b.path),
    );
    const files = order.slice(0, input.atMost);
    return { status: "planned", plan: { folder: input.folder, files }, effects: effectsOf(input.folder, files) };
  } finally {
    await folder.close();
  }
}

async function allowedFolder(folder: string, context: ActionContext): Promise<OpenFolder | Failure> {
  const allowed = allowedFolders(context);
  if ("status" in allowed) return allowed;
  const refused = notListed(folder, allowed.folders, context.target?.name ?? "");
  if (refused) return refused;
  if (context.signal.aborted) return passing(`Stopped before ${folder} was looked at.`);
  return openFolder(folder);
}

interface Search extends Input {
  readonly before: number;
  readonly mount: string;
  readonly signal: AbortSignal;
  readonly found: PlannedFile[];
  looked: number;
}

async function find(folder: OpenFolder, prefix: string, search: Search, depth: number): Promise<Failure | null> {
  for await (const { name, stat } of entriesOf(folder)) {
    if (search.signal.aborted) return passing(`Stopped while ${search.folder} was looked at.`);
    if (++search.looked > mostLooked)
      return lasting(`${search.folder} holds more than ${mostLooked} files. Clean it by hand.`);
    const path = `${prefix}${name}`;
    if (stat.isDirectory()) {
      if (!search.subfolders || depth >= deepest) continue;
      const inside = await openInside(folder, name);
      if (!inside) continue;
      try {
        const entered = (await mountOf(inside)) === search.mount;
        const failure = entered ? await find(inside, `${path}/`, search, depth + 1) : null;
        if (failure) return failure;
      } finally {
        await inside.close();
      }
    } else if (stat.isFile() && Number(stat.mtimeMs) < search.before && isMeant(search.pattern, name)) {
      search.found.push({ path, bytes: Number(stat.size), ...identity(stat) });
    }
  }
  return null;
}

/** As in a shell, hidden files are meant only where the pattern says so. */
function isMeant(pattern: string, name: string): boolean {
  return matchesGlob(pattern, name) && (!name.startsWith(".") || pattern.startsWith("."));
}

function identity(stat: BigIntStats): { readonly inode: string; readonly modified: string } {
  return { inode: `${stat.dev}:${stat.ino}`, modified: String(stat.mtimeNs) };
}

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function effectsOf(folder: string, files: readonly PlannedFile[]): readonly string[] {
  if (files.length === 0) return [];
  const lines = files.slice(0, shownFiles).map(({ path, bytes, modified }) => {
    const at = new Date(Number(BigInt(modified) / 1_000_000n)).toISOString().slice(0, 10);
    return `delete ${folder}/${shownName(path)} (${shownBytes(bytes)}, last written ${at})`;
  });
  const rest = files.slice(shownFiles);
  return rest.length === 0 ? lines : [...lines, `delete ${rest.length} more files (${shownBytes(sizeOf(rest))})`];
}

function sizeOf(files: readonly PlannedFile[]): number {
  return files.reduce((total, { bytes }) => total + bytes, 0);
}

async function apply(plan: DeletePlan, context: ActionContext): Promise<Outcome> {
  const folder = await allowedFolder(plan.folder, context);
  if (folder.status === "failed") return folder;
  const ended = { deleted: [] as PlannedFile[], gone: 0, changed: [] as string[], refused: [] as string[] };
  try {
    for (const file of plan.files) {
      if (context.signal.aborted) {
        if (ended.deleted.length === 0) return passing(`Stopped before anything in ${plan.folder} was deleted.`);
        const reason = `Stopped after ${ended.deleted.length} of ${plan.files.length} files in ${plan.folder} were deleted.`;
        return { status: "unknown", reason };
      }
      const so = await remove(folder, file);
      if (so === "deleted") ended.deleted.push(file);
      else if (so === "gone") ended.gone++;
      else ended[so].push(shownName(file.path));
    }
  } finally {
    await folder.close();
  }
  if (ended.refused.length > 0) {
    return lasting(
      `${ended.deleted.length} files in ${plan.folder} were deleted, ${ended.refused.length} could not be, such as ` +
        `${ended.refused[0]}. Give Paramedic's user the right to write in their folder, or look what holds them.`,
    );
  }
  const { deleted, gone, changed } = ended;
  return {
    status: "done",
    result: { deleted: deleted.length, freedBytes: sizeOf(deleted), gone, changed: changed.slice(0, shownFiles) },
  };
}

/** Deletes one file if it is still the one that was planned; `changed`: it is another one, or was written since. */
async function remove(root: OpenFolder, file: PlannedFile): Promise<"deleted" | "gone" | "changed" | "refused"> {
  const names = file.path.split("/");
  // What a plan holds came from this folder; were it ever something else, it would not be obeyed.
  if (names.some((name) => name === "" || name === "." || name === "..")) return "changed";
  const name = names.pop() as string;
  const opened: OpenFolder[] = [];
  try {
    let folder = root;
    for (const part of names) {
      const inside = await openInside(folder, part);
      if (!inside) return "gone";
      opened.push(inside);
      folder = inside;
    }
    const stat = await lstat(folder.at(name), { bigint: true });
    const { inode, modified } = identity(stat);
    if (!stat.isFile() || inode !== file.inode || modified !== file.modified) return "changed";
    await unlink(folder.at(name));
    return "deleted";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return "gone";
    // EACCES, EPERM, EROFS, EBUSY, EIO: the others are deleted all the same, and this one is told.
    if (/^E[A-Z]+$/.test(code ?? "")) return "refused";
    throw error;
  } finally {
    for (const folder of opened) await folder.close();
  }
}
