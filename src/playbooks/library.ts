/** The playbooks of this process by their hash, and older texts that running runs still hold on to. */

import type { LoadedPlaybook } from "./load.ts";

export interface LibraryOptions {
  readonly loaded: readonly LoadedPlaybook[];
  /** The stored text of a playbook that is not loaded any more. */
  readonly source: (hash: string) => Promise<string | null>;
  /** Compiles such a text; null where this version cannot carry it out. */
  readonly compile: (text: string) => LoadedPlaybook | null;
}

const mostKept = 200;

/** Finds the exact text that a run started with: never a newer one of the same name. */
export function createLibrary(options: LibraryOptions): (hash: string) => Promise<LoadedPlaybook | null> {
  const current = new Map(options.loaded.map((one) => [one.playbook.hash, one]));
  const older = new Map<string, LoadedPlaybook>();
  return async (hash) => {
    const known = current.get(hash) ?? older.get(hash);
    if (known) return known;
    const text = await options.source(hash);
    const compiled = text === null ? null : options.compile(text);
    if (!compiled || compiled.playbook.hash !== hash) return null;
    if (older.size >= mostKept) older.clear();
    older.set(hash, compiled);
    return compiled;
  };
}
