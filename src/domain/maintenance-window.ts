/** Maintenance windows, as `Sun 02:00-05:00 Europe/Berlin`: when changes that block others may be made. */

import { formatDuration } from "./duration.ts";

const dayNames: readonly string[] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const minutesOfDay = 1_440;

/** A time that comes again every week. A window that ends before it begins ends on the next day. */
export interface MaintenanceWindow {
  /** As it stands in the configuration, for people. */
  readonly text: string;
  /** The days on which it begins: 0 is Sunday. */
  readonly days: readonly number[];
  /** Minutes since midnight of the window's own time zone; `to` is not part of it. */
  readonly from: number;
  readonly to: number;
  readonly timeZone: string;
}

/**
 * The window that a text such as `Sun 02:00-05:00 Europe/Berlin`, `Mon-Fri 22:00-04:00 UTC`, `Sat,Sun 00:00-06:00 UTC` or
 * `daily 03:00-04:00 UTC` means; null where it means none.
 */
export function parseMaintenanceWindow(text: string): MaintenanceWindow | null {
  const match = /^(\S+) (\d\d):(\d\d)-(\d\d):(\d\d) (\S+)$/.exec(text);
  if (!match) return null;
  const [, days = "", fromHour, fromMinute, toHour, toMinute, timeZone = ""] = match;
  const from = minutesOf(fromHour, fromMinute);
  const to = minutesOf(toHour, toMinute);
  const listed = parseDays(days);
  if (from === null || to === null || from === to || listed === null || !isTimeZone(timeZone)) return null;
  return { text, days: listed, from, to, timeZone };
}

/** The milliseconds that are left of the window which is open at `now` the longest; 0 where none is open. */
export function openForMs(windows: readonly MaintenanceWindow[], now: number): number {
  return Math.max(0, ...windows.map((window) => windowOpenForMs(window, now)));
}

/**
 * Why a playbook that keeps to these windows begins nothing at `now` that may take `neededMs`, for people; null where there
 * is the time for it. Windows that follow each other without a gap are one.
 */
export function whyClosed(windows: readonly MaintenanceWindow[], now: number, neededMs = 0): string | null {
  if (windows.length === 0) {
    return "the target has no maintenance window; give it one in the configuration (postgres.maintenance)";
  }
  const known = windows.map(({ text }) => text).join("; ");
  let leftMs = openForMs(windows, now);
  if (leftMs === 0) return `no maintenance window is open (${known})`;
  while (leftMs < neededMs) {
    const moreMs = openForMs(windows, now + leftMs);
    if (moreMs === 0) {
      return `it may take ${formatDuration(neededMs)}, its timeout, and the maintenance window closes in ${formatDuration(leftMs)} (${known})`;
    }
    leftMs += moreMs;
  }
  return null;
}

function windowOpenForMs(window: MaintenanceWindow, now: number): number {
  const { day, second } = localTime(window.timeZone, now);
  const from = window.from * 60;
  const to = window.to * 60;
  const overnight = to < from;
  if (window.days.includes(day) && second >= from && (overnight || second < to)) {
    return ((overnight ? to + minutesOfDay * 60 : to) - second) * 1_000;
  }
  if (overnight && window.days.includes((day + 6) % 7) && second < to) return (to - second) * 1_000;
  return 0;
}

/** The day of the week and the second of the day that a clock in the time zone shows. */
function localTime(timeZone: string, now: number): { readonly day: number; readonly second: number } {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).formatToParts(now);
  const part = (type: string) => parts.find((one) => one.type === type)?.value ?? "";
  const second = Number(part("hour")) * 3_600 + Number(part("minute")) * 60 + Number(part("second"));
  return { day: dayNames.indexOf(part("weekday")), second };
}

function minutesOf(hour: string | undefined, minute: string | undefined): number | null {
  const minutes = Number(hour) * 60 + Number(minute);
  return Number(minute) < 60 && minutes <= minutesOfDay ? minutes : null;
}

function parseDays(text: string): readonly number[] | null {
  if (text === "daily") return [0, 1, 2, 3, 4, 5, 6];
  const days = new Set<number>();
  for (const part of text.split(",")) {
    const [first, last = first, ...rest] = part.split("-").map((name) => dayNames.indexOf(name));
    if (first === undefined || last === undefined || first < 0 || last < 0 || rest.length > 0) return null;
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return [...days].sort();
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
