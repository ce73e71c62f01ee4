/** The temporary folder of one Jest run: it holds everything that tests put on disk and the list of started processes. */

import { mkdtempSync } from "node:fs";
import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Names the folder to the test files' processes; set by `global-setup.ts`. */
export const RUN_FOLDER_VARIABLE = "PARAMEDIC_TEST_RUN_FOLDER";

/** The folder's name begins with this, followed by the id of the process that made it. */
export const RUN_FOLDER_PREFIX = "paramedic-test-";

/** The folder of this run; one is made when there is no Jest run around it, as in a benchmark. */
export function runFolder(): string {
  const folder = process.env[RUN_FOLDER_VARIABLE];
  if (folder !== undefined) return folder;
  const made = mkdtempSync(join(tmpdir(), `${RUN_FOLDER_PREFIX}${process.pid}-`));
  process.env[RUN_FOLDER_VARIABLE] = made;
  return made;
}

/** A new, empty folder that goes away with the run. Other users of the machine may enter it, as a server's user must. */
export async function temporaryFolder(name: string): Promise<string> {
  await chmod(runFolder(), 0o711);
  const folder = await mkdtemp(join(runFolder(), `${name}-`));
  await chmod(folder, 0o711);
  return folder;
}
