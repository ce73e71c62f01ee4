/** The extensions in an archive that only a superuser may create, such as pg_stat_statements: a restore leaves them out, and says so. */

import type { Query } from "./connect.ts";

/** The entries of an archive, as `pg_restore --list` prints them, that make an extension or say something of one. */
const entry = /^\d+; \d+ \d+ (?:EXTENSION - |COMMENT - EXTENSION )(.+?) *$/;

/** Those of the archive that the session's role may not create in a database that it owns, in alphabetical order. */
export async function forbiddenExtensions(query: Query, list: string): Promise<readonly string[]> {
  const names = [...new Set(list.split("\n").flatMap((line) => entry.exec(line)?.[1] ?? []))];
  if (names.length === 0) return [];
  const rows = await query<{ name: string }>(
    `SELECT wanted.name FROM unnest($1::text[]) AS wanted (name), pg_roles r
      WHERE r.rolname = current_user AND NOT r.rolsuper AND NOT EXISTS (
        SELECT FROM pg_available_extensions e
          JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
         WHERE e.name = wanted.name AND v.trusted)
      ORDER BY wanted.name`,
    [names],
  );
  return rows.map(({ name }) => name);
}

/** The list without these extensions, for `pg_restore --use-list`. */
export function withoutExtensions(list: string, names: readonly string[]): string {
  return list
    .split("\n")
    .filter((line) => !names.includes(entry.exec(line)?.[1] ?? ""))
    .join("\n");
}
