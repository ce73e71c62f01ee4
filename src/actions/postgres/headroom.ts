/** Whether a server has room for maintenance: disk space, replicas that keep up, no transaction to wait for. */

import { statfs } from "node:fs/promises";
import type { Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import type { Query } from "./connect.ts";
import { shorten } from "./query-text.ts";
import { showBytes } from "./scope.ts";

const mebibyte = 1_048_576;
const defaultMinFreeMiB = 1_024;
const defaultMaxLagMs = 30_000;
/** A replica whose replay stands still reports no growing delay, only growing distance. */
const maxLagBytes = 64 * mebibyte;

/** What cannot be checked is said, so that people who approve know it. */
export type Headroom = { readonly status: "enough"; readonly notes: readonly string[] } | Failure;

export interface Need {
  /** What is written before anything is freed. */
  readonly bytes: number;
  /** The tables that are written, by oid: they may be in tablespaces of their own. */
  readonly relations: readonly number[];
  /** Whether it has to wait for every older transaction, as all that is CONCURRENTLY does. */
  readonly waitsForTransactions: boolean;
  /** How long another transaction may have been open then; 60 where left out. */
  readonly longestTransactionSeconds?: number;
}

/** Whether the server has room for what is needed, and what about that is not known. */
export async function headroomFor(query: Query, postgres: PostgresTarget, need: Need): Promise<Headroom> {
  const [server] = await query<{ replica: boolean }>("SELECT pg_is_in_recovery() AS replica");
  if (server?.replica) return lasting("This server is a replica, which only reads. Point postgres.url at the primary.");
  const lag = await replicationLag(query, postgres.maxReplicationLagMs ?? defaultMaxLagMs);
  if (lag) return lag;
  const waiting = need.waitsForTransactions ? await longTransaction(query, need.longestTransactionSeconds ?? 60) : null;
  if (waiting) return waiting;
  return diskSpace(query, postgres, need);
}

async function replicationLag(query: Query, maxLagMs: number): Promise<Failure | null> {
  const [worst] = await query<{ name: string; seconds: number | null; bytes: number | null }>(
    `SELECT coalesce(nullif(application_name, ''), pid::text) AS name, extract(epoch FROM replay_lag)::float8 AS seconds,
            pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 AS bytes
       FROM pg_stat_replication
      WHERE extract(epoch FROM replay_lag) > $1 OR pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) > $2
      ORDER BY bytes DESC NULLS LAST LIMIT 1`,
    [maxLagMs / 1_000, maxLagBytes],
  );
  if (!worst) return null;
  const time = worst.seconds === null ? "" : `${Math.round(worst.seconds)} s, `;
  return passing(
    `The replica ${shorten(worst.name, 63)} is behind (${time}${showBytes(Math.max(0, worst.bytes ?? 0))}), and ` +
      "maintenance would put it further behind. Try again when it has caught up.",
  );
}

async function longTransaction(query: Query, longestSeconds: number): Promise<Failure | null> {
  const [oldest] = await query<{ pid: number; name: string; seconds: number }>(
    `SELECT pid, name, extract(epoch FROM clock_timestamp() - since)::float8 AS seconds FROM (
       SELECT pid, usename::text AS name, xact_start AS since FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
          AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
        UNION ALL
       SELECT 0, owner::text, prepared FROM pg_prepared_xacts WHERE database = current_database()) t
      WHERE clock_timestamp() - since > make_interval(secs => $1) ORDER BY since LIMIT 1`,
    [longestSeconds],
  );
  if (!oldest) return null;
  const which = oldest.pid === 0 ? "A prepared transaction" : `The transaction of pid ${oldest.pid}`;
  return passing(
    `${which} (user ${shorten(oldest.name, 63)}) has been open for ${Math.round(oldest.seconds)} s, and this would have ` +
      "to wait for its end. See postgres.activity, and try again.",
  );
}

async function diskSpace(query: Query, postgres: PostgresTarget, need: Need): Promise<Headroom> {
  const minFree = (postgres.minFreeMiB ?? defaultMinFreeMiB) * mebibyte;
  const wanted = `about ${showBytes(need.bytes)} of disk space`;
  if (postgres.dataFolder === undefined) {
    return { status: "enough", notes: [`(needs ${wanted}; how much is free is not known: see postgres.dataFolder)`] };
  }
  const folders = new Set([postgres.dataFolder, ...(await tablespaceFolders(query, need.relations))]);
  for (const folder of folders) {
    const free = await freeBytes(folder);
    if (free === null) {
      return lasting(
        `The free disk space of ${folder} cannot be read here. Run this step on the server's host, or correct postgres.dataFolder.`,
      );
    }
    if (free - need.bytes < minFree) {
      return lasting(
        `This needs ${wanted}, but only ${showBytes(free)} are free at ${folder}, of which ${showBytes(minFree)} must ` +
          "stay free (postgres.minFreeMiB). Make room first.",
      );
    }
  }
  return { status: "enough", notes: [] };
}

async function tablespaceFolders(query: Query, relations: readonly number[]): Promise<readonly string[]> {
  const rows = await query<{ folder: string }>(
    `SELECT DISTINCT pg_tablespace_location(s.oid) AS folder
       FROM pg_class c JOIN pg_database d ON d.datname = current_database()
       JOIN pg_tablespace s ON s.oid = coalesce(nullif(c.reltablespace, 0), d.dattablespace)
      WHERE c.oid = ANY($1::oid[]) OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = ANY($1::oid[]))`,
    [relations],
  );
  return rows.map(({ folder }) => folder).filter((folder) => folder !== "");
}

/** What is free for programs that are not root, in bytes; null where the folder cannot be reached. */
export async function freeBytes(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return null;
  }
}
