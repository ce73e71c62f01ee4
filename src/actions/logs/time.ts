/** Finds the time at which a line of a log begins: as Python, Django, nginx and JSON loggers write it. */

import type { Zone } from "./zone.ts";

const iso = String.raw`(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: ?(Z\b|[+-]\d\d:?\d\d))?`;
/** The time first, or after one word such as a level; both may stand in brackets. */
const plain = new RegExp(String.raw`^[[(]?(?:[A-Za-z]{3,10}[\])]?:?[ \t]{1,8}[[(]?)?${iso}`);
/** `[22/Nov/2026 20:56:17]` of Django's server, `host - user [22/Nov/2026:20:56:17 +0000]` of web servers. */
const common =
  /^(?:\S{1,100} \S{1,100} \S{1,100} |[A-Za-z]{3,10} )?\[(\d\d)\/([A-Z][a-z]{2})\/(\d{4})[: ](\d\d):(\d\d):(\d\d)(?: ([+-]\d{4}))?\]/;
const json = new RegExp(
  String.raw`^\{.{0,200}?"(?:@?timestamp|time|ts|asctime|datetime)"\s{0,2}:\s{0,2}(?:"${iso}"|(\d{13})\b)`,
);
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const lookedBytes = 400;

/** `2026-11-22 20:56:`, and where the seconds and milliseconds of Python's usual format are after it. */
const minuteBytes = 17;
const wholeBytes = 23;

/** The time of the line that begins at `start` of a piece of a file, as `timeOfLine`. */
export type LineTimer = (piece: Buffer, start: number) => number | null;

/** Remembers the minute it saw last: of many lines in one minute only seconds are read, without making text of them. */
export function lineTimerFor(zone: Zone): LineTimer {
  const minute = Buffer.alloc(minuteBytes);
  let minuteAt = 0;
  return (piece, start) => {
    const first = piece[start];
    if (first === 0x20 || first === 0x09 || first === 0x0a) return null;
    const isUsual = hasUsualEnd(piece, start);
    if (isUsual && minute.compare(piece, start, start + minuteBytes) === 0) {
      return minuteAt + number(piece, start + 17, 2) * 1_000 + number(piece, start + 20, 3);
    }
    const at = timeOfLine(piece.toString("latin1", start, start + lookedBytes), zone);
    if (isUsual && at !== null) {
      piece.copy(minute, 0, start, start + minuteBytes);
      minuteAt = at - number(piece, start + 17, 2) * 1_000 - number(piece, start + 20, 3);
    }
    return at;
  };
}

/** `17,123 ` or `17,123]` after the minute, and no zone after that. */
function hasUsualEnd(piece: Buffer, start: number): boolean {
  const end = start + wholeBytes;
  if (end + 1 >= piece.length) return false;
  for (const at of [17, 18, 20, 21, 22]) {
    const byte = piece[start + at] as number;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  const [mark, after, next] = [piece[start + 19], piece[end], piece[end + 1] as number];
  const isZone = next === 0x2b || next === 0x2d || next === 0x5a;
  return (mark === 0x2c || mark === 0x2e) && (after === 0x20 || after === 0x5d) && !isZone;
}

function number(piece: Buffer, start: number, digits: number): number {
  let value = 0;
  for (let at = start; at < start + digits; at++) value = value * 10 + (piece[at] as number) - 0x30;
  return value;
}

/** The time of a line in milliseconds since 1970; null where it begins with none, and so belongs to the line before. */
export function timeOfLine(line: string, zone: Zone): number | null {
  // What is indented goes on; most lines without a time are.
  if (line === "" || line[0] === " " || line[0] === "\t") return null;
  if (line[0] === "{") {
    const found = json.exec(line);
    if (!found) return null;
    return found[9] === undefined ? isoTime(found, zone) : Number(found[9]);
  }
  const found = plain.exec(line);
  if (found) return isoTime(found, zone);
  const other = common.exec(line);
  if (!other) return null;
  const [, day, month = "", year, hour, minute, second, offset] = other;
  return instant([year, months.indexOf(month) + 1, day, hour, minute, second].map(Number), 0, offset, zone);
}

function isoTime([, year, month, day, hour, minute, second, fraction = "", offset]: RegExpExecArray, zone: Zone) {
  const ms = Number(fraction.padEnd(3, "0").slice(0, 3));
  return instant([year, month, day, hour, minute, second].map(Number), ms, offset, zone);
}

function instant(parts: readonly number[], ms: number, offset: string | undefined, zone: Zone): number | null {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return null;
  const local = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  if (offset === undefined) return local - zone(local);
  if (offset === "Z") return local;
  const sign = offset.startsWith("-") ? -1 : 1;
  const digits = offset.replace(/\D/g, "");
  return local - sign * (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))) * 60_000;
}
