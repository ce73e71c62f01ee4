/** Paramedic's own Postgres: the configured one, or the embedded one of this machine. Never the database it heals. */

import { type EmbeddedLog, startEmbedded } from "./embedded.ts";

export interface OwnDatabase {
  readonly url: string;
  /** Stops the embedded server; leaves a configured one alone. */
  stop(): Promise<void>;
}

/** Opens it. `url` null: starts the embedded Postgres in `embeddedFolder`. */
export async function openOwnDatabase(
  options: { readonly url: string | null; readonly embeddedFolder: string },
  log: EmbeddedLog,
): Promise<OwnDatabase> {
  if (options.url !== null) return { url: options.url, stop: async () => {} };
  log.warn(
    { folder: options.embeddedFolder },
    "DATABASE_URL is not set: using the embedded Postgres, which is meant for a first look and for one machine",
  );
  const embedded = await startEmbedded(options.embeddedFolder, log);
  return { url: embedded.url, stop: embedded.stop };
}
