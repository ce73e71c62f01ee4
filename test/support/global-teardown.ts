/** After a Jest run: ends the shared servers and whatever else still lives, and removes the run's temporary folder. */

import { rmSync } from "node:fs";
import { killRemembered } from "./process.ts";
import { runFolder } from "./run-folder.ts";

// biome-ignore lint/style/noDefaultExport: Jest looks for the default export.
export default function globalTeardown(): void {
  killRemembered(runFolder());
  rmSync(runFolder(), { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
