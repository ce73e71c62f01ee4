/** Asks journalctl, by an argument list and never a shell, and reads its JSON: the newest entries first, bounded in time and bytes. */

import { execFile } from "node:child_process";
import type { Failure } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";

const timeoutMs = 10_000;
const largestBytes = 8 * 1024 * 1024;

/** One entry of the journal. */
export interface JournalEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** As in syslog: 0 (emergency) to 7 (debug). */
  readonly priority: number;
  readonly pid: number;
  readonly message: string;
}

export interface JournalPage {
  readonly status: "read";
  /** Newest first. */
  readonly entries: readonly JournalEntry[];
  /** Whether there was more than is ever read at once. */
  readonly cut: boolean;
}

/** The newest entries that `matches` selects, arguments such as `--unit=nginx.service`; `folder` is another journal than this machine's. */
export async function readJournal(
  matches: readonly string[],
  options: { readonly entries: number; readonly folder: string | null; readonly signal: AbortSignal },
): Promise<JournalPage | Failure> {
  const answer = await run(
    [
      ...(options.folder === null ? [] : [`--directory=${options.folder}`]),
      "--no-pager",
      "--quiet",
      "--all",
      "--reverse",
      "--output=json",
      "--output-fields=MESSAGE,PRIORITY,_PID",
      `--lines=${options.entries}`,
      ...matches,
    ],
    options.signal,
  );
  if ("status" in answer) return answer;
  // Newest first, so that what is cut off is the oldest; the line it was cut in is not whole.
  const lines = answer.text.split("\n");
  if (answer.cut) lines.pop();
  return { status: "read", entries: lines.filter((line) => line !== "").map(entryOf), cut: answer.cut };
}

function run(
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly text: string; readonly cut: boolean } | Failure> {
  return new Promise((resolve) => {
    const options = {
      signal,
      timeout: timeoutMs,
      killSignal: "SIGKILL" as const,
      maxBuffer: largestBytes,
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8", SYSTEMD_COLORS: "0" },
    };
    execFile("journalctl", args, options, (error, stdout, stderr) => {
      if (!error) return resolve({ text: stdout, cut: false });
      if (error.code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return resolve({ text: stdout, cut: true });
      if (signal.aborted) return resolve(passing("Stopped while reading the journal."));
      if (error.code === "ENOENT") return resolve(lasting("There is no journalctl on this host. Install systemd."));
      if (error.killed) return resolve(passing(`journalctl did not answer within ${timeoutMs / 1_000} s.`));
      if (/permission/i.test(stderr)) {
        return resolve(lasting("Paramedic may not read the journal. Add its user to the group systemd-journal."));
      }
      return resolve(passing(`journalctl ended with ${String(error.code)}. Try it by hand as Paramedic's user.`));
    });
  });
}

function entryOf(line: string): JournalEntry {
  const fields = JSON.parse(line) as Readonly<Record<string, unknown>>;
  return {
    at: Math.floor(Number(fields["__REALTIME_TIMESTAMP"]) / 1_000),
    priority: numberOf(fields["PRIORITY"], 6),
    pid: numberOf(fields["_PID"], 0),
    message: messageOf(fields["MESSAGE"]),
  };
}

function numberOf(value: unknown, otherwise: number): number {
  const number = Number(Array.isArray(value) ? value[0] : value);
  return Number.isSafeInteger(number) ? number : otherwise;
}

/**
 * The text of a MESSAGE: a string; a list of bytes where it is not plain text; null where journalctl finds it too long;
 * a list of any of these where the entry has several.
 */
export function messageOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return "(too long to be shown)";
  if (value.every((byte) => typeof byte === "number")) return Buffer.from(value).toString("utf8");
  return value.map(messageOf).join("\n");
}
