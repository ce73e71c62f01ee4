/** Before a Jest run: makes its temporary folder and clears away what a killed earlier run left behind. */

import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive, killRemembered } from "./process.ts";
import { RUN_FOLDER_PREFIX, runFolder } from "./run-folder.ts";

// biome-ignore lint/style/noDefaultExport: Jest looks for the default export.
export default function globalSetup(): void {
  for (const name of readdirSync(tmpdir())) {
    const madeBy = name.startsWith(RUN_FOLDER_PREFIX) ? Number.parseInt(name.slice(RUN_FOLDER_PREFIX.length), 10) : 0;
    if (madeBy > 0 && !isAlive(madeBy)) clear(join(tmpdir(), name));
  }
  runFolder();
}

function clear(folder: string): void {
  killRemembered(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
