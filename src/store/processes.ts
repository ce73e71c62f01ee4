/** What can be known about processes that this one did not start: whether they live, since when, and what they are. */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

/** Whether a process with this id runs; one that has ended and only waits to be collected does not. */
export async function isAlive(pid: number): Promise<boolean> {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return (await statFields(pid))?.[0] !== "Z";
}

/** When the process started, in units that only serve to compare: an id alone may have passed on. Empty where unknown. */
export async function startOf(pid: number): Promise<string> {
  return (await statFields(pid))?.[19] ?? "";
}

/** The command line of a process, its arguments separated by spaces; empty when it cannot be read. */
export async function commandLine(pid: number): Promise<string> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
  } catch {
    const listed = promisify(execFile)("ps", ["-ww", "-o", "command=", "-p", String(pid)], { timeout: 5_000 });
    return await listed.then(
      ({ stdout }) => stdout,
      () => "",
    );
  }
}

/** Waits at most `patienceMs` milliseconds for the process to end and tells whether it did. */
export async function waitForEnd(pid: number, patienceMs: number): Promise<boolean> {
  for (const deadline = performance.now() + patienceMs; performance.now() < deadline; ) {
    if (!(await isAlive(pid))) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return !(await isAlive(pid));
}

/** The fields of /proc/<pid>/stat from the third on (proc(5)); undefined where there is no /proc. */
async function statFields(pid: number): Promise<readonly string[] | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may contain anything.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
