/** Invalid indexes: what interrupted builds left behind. They help no query and cost every write. */

import type { PostgresTarget } from "../../domain/target.ts";
import type { Query } from "./connect.ts";
import { allowedSchemas } from "./scope.ts";

/** An index that is not valid. */
export interface Leftover {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  readonly index: string;
  /** Schema and name as SQL, quoted by the server. */
  readonly quoted: string;
  readonly bytes: number;
  /** Whether somebody is building at this table just now: then the index may be no leftover at all. */
  readonly building: boolean;
  /** Whether it can be dropped by itself: it belongs to no constraint and to no partitioned index. */
  readonly droppable: boolean;
  readonly owned: boolean;
  readonly owner: string;
}

/** What a leftover's name says about what failed. Names as PostgreSQL makes them in REINDEX … CONCURRENTLY. */
export type Origin = "failed rebuild" | "finished rebuild" | "failed build";

export function originOf(index: string): Origin {
  if (/_ccnew\d*$/.test(index)) return "failed rebuild";
  return /_ccold\d*$/.test(index) ? "finished rebuild" : "failed build";
}

/** What is to be done about it, for people. */
export function adviceFor(leftover: Pick<Leftover, "index" | "building">): string {
  if (leftover.building) return "Wait: somebody is building at this table.";
  switch (originOf(leftover.index)) {
    case "failed rebuild":
      return "Drop it and rebuild again: the old index is still in use.";
    case "finished rebuild":
      return "Drop it: the rebuild itself worked.";
    case "failed build":
      return "Drop it and build again where it is still wanted.";
  }
}

/** The invalid indexes of the allowed schemas, or of one table of them, the largest first. */
export function findLeftovers(query: Query, postgres: PostgresTarget, tableOid: number | null): Promise<Leftover[]> {
  return query<Leftover>(
    `SELECT c.oid::int8::float8 AS oid, n.nspname::text AS schema, t.relname::text AS table, c.relname::text AS index,
            format('%I.%I', n.nspname, c.relname) AS quoted,
            pg_relation_size(c.oid)::float8 AS bytes,
            EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = t.oid) OR EXISTS (
              SELECT FROM pg_locks l
               WHERE l.locktype = 'relation' AND l.relation = t.oid AND l.mode = 'ShareUpdateExclusiveLock'
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = l.pid)) AS building,
            c.relkind = 'i' AND NOT c.relispartition AND NOT EXISTS (
              SELECT FROM pg_constraint k WHERE k.conindid = c.oid) AS droppable,
            pg_has_role(t.relowner, 'USAGE') AS owned, pg_get_userbyid(t.relowner)::text AS owner
       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
       JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE NOT i.indisvalid AND n.nspname::text = ANY($1::text[]) AND ($2::oid IS NULL OR t.oid = $2::oid)
        AND t.relpersistence <> 't'
      ORDER BY pg_relation_size(c.oid) DESC, c.oid`,
    [allowedSchemas(postgres), tableOid],
  );
}
