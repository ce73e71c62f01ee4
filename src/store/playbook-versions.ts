/** Every text of a playbook that was ever loaded, by its hash: a run goes on with the text it started with. */

import type { Database } from "./connect.ts";

export interface PlaybookVersions {
  /** Keeps these texts; those already there are left as they are. */
  keep(playbooks: readonly { readonly hash: string; readonly name: string; readonly source: string }[]): Promise<void>;
  /** The text with this hash, or null. */
  source(hash: string): Promise<string | null>;
}

export function createPlaybookVersions(database: Database): PlaybookVersions {
  return {
    keep: async (playbooks) => {
      await database.pool.query(
        `INSERT INTO paramedic.playbook_versions (hash, name, source)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT (hash) DO NOTHING`,
        [
          playbooks.map((playbook) => playbook.hash),
          playbooks.map((playbook) => playbook.name),
          playbooks.map((playbook) => playbook.source),
        ],
      );
    },
    source: async (hash) => {
      const { rows } = await database.pool.query<{ source: string }>(
        "SELECT source FROM paramedic.playbook_versions WHERE hash = $1",
        [hash],
      );
      return rows[0]?.source ?? null;
    },
  };
}
