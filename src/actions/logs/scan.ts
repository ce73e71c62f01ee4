/**
 * Counts the entries of a log in which texts occur, in constant memory: pieces of the file are searched whole, and only
 * where a text is found are lines and their times looked at.
 */

import { headroom, type Piece } from "./pieces.ts";
import { type LineTimer, lineTimerFor } from "./time.ts";
import type { Zone } from "./zone.ts";

const newline = 10;
/** Of an entry: so much of its beginning and of its end is kept as an example. */
const keptHead = 600;
const keptTail = 1_400;
const longestEntry = 64 * 1024;

export interface Search {
  readonly patterns: readonly string[];
  /** Only entries from then on, until then; in milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
  readonly zone: Zone;
  /** How many of the newest entries are kept. */
  readonly newest: number;
}

/** An entry in which a text was found. `at` is null where no line before it has a time. */
export interface Found {
  readonly at: number | null;
  readonly text: string;
}

export interface Scanned {
  /** Entries in which any of the texts occurs. */
  readonly total: number;
  /** By text, in the order of the search. */
  readonly counts: readonly number[];
  /** Of the total, those of which no time is known; they are counted. */
  readonly untimed: number;
  /** The last ones, in the order of the file. */
  readonly newest: readonly Found[];
}

interface Tally {
  total: number;
  untimed: number;
  readonly counts: number[];
  newest: Found[];
  /** Of what was read so far: the time of its last entry, and whether that was counted, by text and at all. */
  at: number | null;
  readonly counted: boolean[];
}

/** Reads the pieces of a file to their end. Throws what reading them throws, and where the signal aborts. */
export async function scan(pieces: AsyncIterable<Piece>, search: Search, signal: AbortSignal): Promise<Scanned> {
  const needles = search.patterns.map((pattern) => Buffer.from(pattern));
  const timer = lineTimerFor(search.zone);
  const tally: Tally = {
    total: 0,
    untimed: 0,
    counts: needles.map(() => 0),
    newest: [],
    at: null,
    counted: [...needles.map(() => false), false],
  };
  let rest = Buffer.alloc(0);
  for await (const { buffer, size } of pieces) {
    if (signal.aborted) throw signal.reason;
    const start = headroom - rest.length;
    rest.copy(buffer, start);
    const piece = buffer.subarray(start, headroom + size);
    const ends = piece.lastIndexOf(newline) + 1;
    // A line that is longer than there is room for is searched in parts.
    const whole = piece.length - ends > headroom ? piece.length : ends;
    if (whole > 0) searchPiece(piece.subarray(0, whole), needles, search, timer, tally);
    rest = Buffer.from(piece.subarray(whole));
  }
  if (rest.length > 0) searchPiece(rest, needles, search, timer, tally);
  const { total, counts, untimed, newest } = tally;
  return { total, counts, untimed, newest };
}

/** An entry in the piece: where it begins, which is before the piece for -1, and its time. */
interface EntryStart {
  readonly start: number;
  readonly at: number | null;
}

function searchPiece(piece: Buffer, needles: readonly Buffer[], search: Search, timer: LineTimer, tally: Tally): void {
  const entries = new Map<number, EntryStart>();
  for (const [index, needle] of needles.entries()) {
    for (const entry of entriesWith(piece, needle, timer, tally.at)) {
      if (!isWithin(entry, search)) continue;
      if (entry.start >= 0 || !tally.counted[index]) tally.counts[index] = (tally.counts[index] as number) + 1;
      if (entry.start < 0) tally.counted[index] = true;
      entries.set(entry.start, entry);
    }
  }
  const begun = entries.get(-1);
  const isNew = [...entries.values()].filter(({ start }) => start >= 0);
  if (begun && !tally.counted[needles.length]) {
    isNew.unshift(begun);
    tally.counted[needles.length] = true;
  }
  tally.total += isNew.length;
  tally.untimed += isNew.filter(({ at }) => at === null).length;
  if (isNew.length > 0 && search.newest > 0) {
    const kept = isNew.sort((a, b) => a.start - b.start).slice(-search.newest);
    tally.newest = [...tally.newest, ...kept.map((entry) => exampleOf(piece, entry, timer))].slice(-search.newest);
  }
  const last = entryOf(piece, lineBefore(piece, piece.length), 0, timer, null);
  if (last.start < 0) return;
  tally.at = last.at;
  for (const index of tally.counted.keys()) tally.counted[index] = false;
  const open = entries.get(last.start);
  if (!open) return;
  // The next piece may go on with this entry.
  tally.counted[needles.length] = true;
  const text = piece.subarray(last.start);
  for (const [index, needle] of needles.entries()) tally.counted[index] = text.includes(needle);
}

/** The entries in which the text occurs, each once, in their order. */
function* entriesWith(piece: Buffer, needle: Buffer, timer: LineTimer, before: number | null): Generator<EntryStart> {
  let known = 0;
  let entry: EntryStart = { start: -1, at: before };
  let told: number | null = null;
  for (let hit = piece.indexOf(needle); hit >= 0; ) {
    const line = piece.lastIndexOf(newline, hit) + 1;
    const found = entryOf(piece, line, known, timer, entry.at);
    // Where no time is known yet, every line is an entry of its own.
    if (found.start >= 0) entry = found;
    else if (entry.at === null) entry = { start: line, at: null };
    if (entry.start !== told) yield entry;
    told = entry.start;
    const end = piece.indexOf(newline, hit);
    if (end < 0) return;
    known = end + 1;
    hit = piece.indexOf(needle, known);
  }
}

/** The last line with a time from `line` back to `known`; `start` is -1 where there is none. */
function entryOf(piece: Buffer, line: number, known: number, timer: LineTimer, otherwise: number | null): EntryStart {
  for (let start = line; start >= known; start = lineBefore(piece, start)) {
    const at = timer(piece, start);
    if (at !== null) return { start, at };
    if (start === 0) break;
  }
  return { start: -1, at: otherwise };
}

/** Where the line before the one that begins at `start` begins. */
function lineBefore(piece: Buffer, start: number): number {
  return start < 2 ? 0 : piece.lastIndexOf(newline, start - 2) + 1;
}

function isWithin({ at }: EntryStart, { from, until }: Search): boolean {
  return at === null || (at >= from && at <= until);
}

/** The entry's text, of which the middle is left out where it is long. */
function exampleOf(piece: Buffer, { start, at }: EntryStart, timer: LineTimer): Found {
  const begin = Math.max(0, start);
  let end = piece.indexOf(newline, begin);
  for (; end >= 0 && end + 1 < piece.length && end - begin < longestEntry; end = piece.indexOf(newline, end + 1)) {
    if (timer(piece, end + 1) !== null) break;
  }
  const text = piece.toString("utf8", begin, end < 0 ? piece.length : end).trimEnd();
  const isLong = text.length > keptHead + keptTail;
  return { at, text: isLong ? `${text.slice(0, keptHead)}\n…\n${text.slice(-keptTail)}` : text };
}
