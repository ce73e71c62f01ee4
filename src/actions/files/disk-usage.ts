/** `files.disk-usage`: how full the file systems of a target's folders are, and what in the folders takes the room. */

import { stat, statfs } from "node:fs/promises";
import { z } from "zod";
import type { ActionContext, Failure, ObserveAction, Observed } from "../../domain/action.ts";
import { passing } from "../failure.ts";
import { allowedFolders } from "./allowed-folder.ts";
import { type Entry, entriesOf, type OpenFolder, openFolder, openInside, shownName } from "./folder.ts";

const mostEntries = 200_000;
const deepest = 64;

const input = z.strictObject({
  /** How many of the largest entries of each folder are returned. */
  largest: z.int().min(0).max(50).default(10),
});

const output = z.object({
  /** Of the fullest file system: what is free, in percent. */
  leastFreePercent: z.number(),
  /** Of the file system with the least room: bytes that are free to others than root. */
  leastFreeBytes: z.int(),
  folders: z.array(
    z.object({
      folder: z.string(),
      /** Of its file system; free to others than root. */
      freeBytes: z.int(),
      totalBytes: z.int(),
      freePercent: z.number(),
      /** Inodes that are free, in percent; 100 where the file system does not count them. */
      freeInodesPercent: z.number(),
      /** What the folder takes on its file system, and how many files are in it. */
      usedBytes: z.int(),
      files: z.int(),
      /** Whether everything could be counted: it could all be opened, and there was not too much of it. */
      complete: z.boolean(),
      /** Its largest entries, the largest first; folders with what is in them. */
      largest: z.array(z.object({ name: z.string(), bytes: z.int() })),
    }),
  ),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const diskUsage: ObserveAction<Input, Output> = {
  name: "files.disk-usage",
  summary: "Reads how full the disks of a target's folders are and what takes the room.",
  onHost: true,
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(input: Input, context: ActionContext): Promise<Observed<Output>> {
  const allowed = allowedFolders(context);
  if ("status" in allowed) return allowed;
  const folders: Output["folders"] = [];
  for (const path of allowed.folders) {
    const usage = await usageOf(path, input.largest, context.signal);
    if ("status" in usage) return usage;
    folders.push(usage);
  }
  return {
    status: "observed",
    output: {
      leastFreePercent: Math.min(...folders.map(({ freePercent }) => freePercent)),
      leastFreeBytes: Math.min(...folders.map(({ freeBytes }) => freeBytes)),
      folders,
    },
  };
}

interface Count {
  readonly signal: AbortSignal;
  readonly device: bigint;
  /** Files of several names, which take their room once. */
  readonly linked: Set<bigint>;
  entries: number;
  files: number;
  complete: boolean;
}

async function usageOf(path: string, most: number, signal: AbortSignal): Promise<Output["folders"][number] | Failure> {
  if (signal.aborted) return passing(`Stopped before ${path} was looked at.`);
  const folder = await openFolder(path);
  if (folder.status === "failed") return folder;
  try {
    const system = await statfs(folder.itself);
    const device = (await stat(folder.itself, { bigint: true })).dev;
    const count: Count = { signal, device, linked: new Set(), entries: 0, files: 0, complete: true };
    const largest: { name: string; bytes: number }[] = [];
    let usedBytes = 0;
    for await (const entry of entriesOf(folder)) {
      const bytes = await bytesOf(folder, entry, count, 1);
      if (signal.aborted) return passing(`Stopped while ${path} was looked at.`);
      usedBytes += bytes;
      largest.push({ name: shownName(entry.name), bytes });
    }
    const percent = (free: number, total: number) => (total === 0 ? 100 : Math.round((free / total) * 1_000) / 10);
    return {
      folder: path,
      freeBytes: system.bavail * system.bsize,
      totalBytes: system.blocks * system.bsize,
      freePercent: percent(system.bavail, system.blocks),
      freeInodesPercent: percent(system.ffree, system.files),
      usedBytes,
      files: count.files,
      complete: count.complete,
      largest: largest.sort((a, b) => b.bytes - a.bytes).slice(0, most),
    };
  } finally {
    await folder.close();
  }
}

/** What an entry takes with all that is in it; links are not followed, other file systems not entered. */
async function bytesOf(folder: OpenFolder, { name, stat }: Entry, count: Count, depth: number): Promise<number> {
  if (count.signal.aborted || stat.dev !== count.device) return 0;
  if (++count.entries > mostEntries || depth > deepest) {
    count.complete = false;
    return 0;
  }
  const own = Number(stat.blocks) * 512;
  if (!stat.isDirectory()) {
    count.files++;
    if (stat.nlink === 1n) return own;
    if (count.linked.has(stat.ino)) return 0;
    count.linked.add(stat.ino);
    return own;
  }
  const inside = await openInside(folder, name);
  if (!inside) {
    count.complete = false;
    return own;
  }
  let bytes = own;
  try {
    for await (const entry of entriesOf(inside)) bytes += await bytesOf(inside, entry, count, depth + 1);
  } finally {
    await inside.close();
  }
  return bytes;
}
