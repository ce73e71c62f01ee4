/** The kill switch of one machine: a file that stops this process's workers while it exists. */

import { statSync } from "node:fs";

/** Whether the workers are to start nothing. A file that cannot be looked at counts as there: what cannot be read stops everything. */
export function isPausedByFile(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}
