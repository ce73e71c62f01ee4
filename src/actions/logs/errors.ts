/** `logs.errors`: how often texts occur in a target's log files within a time, and the newest entries that have them. */

import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import type { LogsTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { redact } from "../redact.ts";
import { type LogFile, openLogs, type Unread, whyNot } from "./log-files.ts";
import { type Piece, piecesOf, unzippedPiecesOf } from "./pieces.ts";
import { type Found, type Scanned, type Search, scan } from "./scan.ts";
import { zoneOf } from "./zone.ts";

const mostUnread = 20;
const mostFiles = 1_000;

const input = z.strictObject({
  /** Entries from so long ago until now. */
  sinceSeconds: z.int().min(1).max(31_536_000).default(3_600),
  /** Texts to look for, exactly as they stand in the logs, in capitals or not. */
  patterns: z
    .array(
      z
        .string()
        .min(2)
        .max(200)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
        .refine((text) => text.trim() !== "" && !/[\u0000-\u001f\u007f]/.test(text), "must be text on one line"),
    )
    .min(1)
    .max(20)
    .refine((all) => new Set(all).size === all.length, "must not name the same text twice")
    .default(["ERROR", "CRITICAL"]),
  /** How many of the newest entries are returned. */
  newest: z.int().min(0).max(20).default(5),
});

const output = z.object({
  /** Entries in which any of the texts occurs. An entry is a line with a time and the lines without one after it. */
  total: z.int(),
  /** By text, in the order in which they were asked for. */
  counts: z.array(z.object({ pattern: z.string(), count: z.int() })),
  /** Entries in each minute, on average. */
  perMinute: z.number(),
  /** Of the total, entries of which no time is known. They are counted whenever they were written. */
  untimed: z.int(),
  /** The newest first; secrets removed, long ones without their middle. `at` is RFC 3339, or empty. */
  newest: z.array(z.object({ at: z.string(), file: z.string(), text: z.string() })),
  /** The files that were read, with how many entries in them count. */
  files: z.array(z.object({ file: z.string(), bytes: z.int(), total: z.int() })),
  /** Files that could not be read, or not to their end. */
  unread: z.array(z.object({ file: z.string(), why: z.string() })),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const logsErrors: ObserveAction<Input, Output> = {
  name: "logs.errors",
  summary: "Counts errors in a target's log files and returns the newest.",
  onHost: true,
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(input: Input, context: ActionContext): Promise<Observed<Output>> {
  const { target, signal } = context;
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  const { logs } = target;
  if (!logs) return lasting(`The target ${target.name} has no logs: in paramedic.yaml. Add its files.`);
  if (logs.files.length === 0) return lasting(`The target ${target.name} lists no files in logs. Add them.`);
  if (signal.aborted) return passing("Stopped before any log was read.");
  try {
    return await readAll(input, logs, context);
  } catch (error) {
    if (signal.aborted) return passing("Stopped while logs were read. A shorter time or fewer files take less long.");
    throw error;
  }
}

interface Read extends Scanned {
  readonly file: string;
  readonly bytes: number;
}

async function readAll(input: Input, logs: LogsTarget, context: ActionContext): Promise<Observed<Output>> {
  const until = context.now();
  const search: Search = {
    patterns: input.patterns,
    from: until - input.sinceSeconds * 1_000,
    // A clock that is a little ahead must not hide the newest entries.
    until: until + 60_000,
    zone: zoneOf(logs.timeZone),
    newest: input.newest,
  };
  const read: Read[] = [];
  const unread: Unread[] = [];
  const seen = new Set<string>();
  for await (const found of openLogs(logs.files, search.from)) {
    if ("reason" in found) return found;
    if ("why" in found) {
      unread.push({ file: found.file, why: found.why });
      continue;
    }
    const result = await readLog(found, search, seen, unread, context.signal);
    if (result) read.push(result);
    if (read.length >= mostFiles) return lasting(`logs.files allows more than ${mostFiles} files. Narrow it.`);
  }
  const total = sum(read.map((one) => one.total));
  return {
    status: "observed",
    output: {
      total,
      counts: input.patterns.map((pattern, index) => ({
        pattern,
        count: sum(read.map(({ counts }) => counts[index] ?? 0)),
      })),
      perMinute: Math.round((total / input.sinceSeconds) * 60 * 1_000) / 1_000,
      untimed: sum(read.map(({ untimed }) => untimed)),
      newest: newestOf(read, input.newest),
      files: read.map(({ file, bytes, total: inFile }) => ({ file, bytes, total: inFile })),
      unread: unread.slice(0, mostUnread),
    },
  };
}

/** What is in one file, which is then closed; null where it is not to be counted. */
async function readLog(
  { path, file, compressed, bytes }: LogFile,
  search: Search,
  seen: Set<string>,
  unread: Unread[],
  signal: AbortSignal,
): Promise<Read | null> {
  try {
    const { dev, ino } = await file.stat({ bigint: true });
    // Two names of one file, and a file that was renamed while the folder was read.
    if (seen.has(`${dev}:${ino}`)) return null;
    seen.add(`${dev}:${ino}`);
    const told: { ended: unknown } = { ended: null };
    const pieces = untilItBreaks(compressed ? unzippedPiecesOf(file) : piecesOf(file), told);
    const scanned = await scan(pieces, search, signal);
    if (told.ended !== null) unread.push({ file: path, why: `${whyNot(told.ended)}; what came before is counted` });
    return { file: path, bytes, ...scanned };
  } finally {
    await file.close();
  }
}

/** The pieces that can be read; what ends them early is kept, since what came before still counts. */
async function* untilItBreaks(pieces: AsyncIterable<Piece>, told: { ended: unknown }): AsyncGenerator<Piece> {
  try {
    yield* pieces;
  } catch (error) {
    told.ended = error;
  }
}

function newestOf(read: readonly Read[], most: number): Output["newest"] {
  const all = read.flatMap(({ file, newest }) => newest.map((found): Found & { file: string } => ({ ...found, file })));
  return all
    .sort((a, b) => (b.at ?? 0) - (a.at ?? 0))
    .slice(0, most)
    .map(({ at, file, text }) => ({ at: at === null ? "" : new Date(at).toISOString(), file, text: shown(text) }));
}

/** Without secrets, and without what moves a cursor; lines stay lines. */
function shown(text: string): string {
  return redact(text).replace(/[^\P{C}\n\t]|[\p{Zl}\p{Zp}]/gu, " ");
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
