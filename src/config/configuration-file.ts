/** Finds the configuration: what was named, in a folder its `paramedic.yaml`, or that of the current folder. */

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";

const usualName = "paramedic.yaml";

/** The path of the file; null where nothing was named and the current folder has none. What is named need not exist. */
export function configurationFile(named: string | null): string | null {
  if (named === null) return existsSync(usualName) ? usualName : null;
  return statSync(named, { throwIfNoEntry: false })?.isDirectory() ? join(named, usualName) : named;
}
