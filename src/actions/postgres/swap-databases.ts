/** Puts a restored database in the place of the one it replaces, which is closed: in one transaction. */

import { setTimeout as pause } from "node:timers/promises";
import type { ActionContext, Failure } from "../../domain/action.ts";
import { lasting } from "../failure.ts";
import { type Attempt, type Query, type Session, withClient } from "./connect.ts";
import { copyProperties } from "./database-properties.ts";
import { makingSession } from "./new-database.ts";
import { shorten } from "./query-text.ts";

const pollMs = 100;

export interface Swap {
  readonly database: string;
  readonly staging: string;
  /** The name under which the old one is kept. */
  readonly kept: string;
}

/** Null where the databases have changed places; `doubtful` is set from the moment on from which that cannot be told. */
export async function swapDatabases(
  swap: Swap,
  context: ActionContext,
  doubt: { doubtful: boolean },
): Promise<Failure | null> {
  const copied = await withClient(
    context,
    (query, _, session) => copyProperties(query, session, swap.database, swap.staging),
    makingSession,
  );
  if (copied) return copied;
  const blocked = await withClient(context, (query, postgres) => othersIn(query, postgres.users, swap), makingSession);
  if (blocked) return blocked;
  let renaming = true;
  const rename = withClient(context, (query, _, session) => renameBoth(query, session, swap, doubt), {
    ...makingSession,
    lockTimeoutMs: 10_000,
  }).finally(() => {
    renaming = false;
  });
  // A database in use cannot be renamed. While the rename waits for its users to leave, nobody new gets in.
  const ending = withClient(
    context,
    async (query, postgres): Promise<null> => {
      while (renaming) {
        await query(
          `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
            WHERE a.datname = $1 AND a.usename::text = ANY($2::text[]) AND a.backend_type = 'client backend'
              AND NOT r.rolsuper AND a.pid <> pg_backend_pid()`,
          [swap.database, postgres.users],
        );
        await pause(pollMs);
      }
      return null;
    },
    makingSession,
  );
  const [failure] = await Promise.all([rename, ending]);
  return failure;
}

/** The Failure where somebody is there whom Paramedic may not end: then nobody is ended in vain. */
async function othersIn(query: Query, users: readonly string[], swap: Swap): Promise<Failure | null> {
  const others = await query<{ pid: number }>(
    `SELECT a.pid FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
      WHERE a.datname = $1 AND a.backend_type <> 'autovacuum worker'
        AND (a.usename::text <> ALL ($2::text[]) OR a.backend_type <> 'client backend' OR r.rolsuper)
        AND a.application_name !~* '^paramedic'`,
    [swap.database, users],
  );
  return others.length === 0 ? null : inUse(swap, ` (pid ${others.map(({ pid }) => pid).join(", ")})`);
}

function inUse({ database, staging }: Swap, who: string): Failure {
  return lasting(
    `Somebody whom Paramedic may not end uses ${database}${who}. Nothing was changed; the restored database ${staging} is ` +
      "ready. End them, and try again.",
  );
}

async function renameBoth(
  query: Query,
  session: Session,
  swap: Swap,
  doubt: { doubtful: boolean },
): Promise<Failure | null> {
  const [texts] = await query<{ away: string; here: string; close: string }>(
    `SELECT format('ALTER DATABASE %I RENAME TO %I', $1::text, $3::text) AS away,
            format('ALTER DATABASE %I RENAME TO %I', $2::text, $1::text) AS here,
            format('ALTER DATABASE %I ALLOW_CONNECTIONS false', $3::text) AS close`,
    [swap.database, swap.staging, swap.kept],
  );
  if (!texts) throw new Error("The statement that makes statements returned no row.");
  await query("BEGIN");
  // With the renames, so that nobody is ever let into the old one: what they wrote there would be lost without a word.
  for (const text of [texts.away, texts.here, texts.close]) {
    const renamed = await session.attempt(text);
    if (renamed.ok) continue;
    await query("ROLLBACK");
    return notRenamed(renamed, swap);
  }
  doubt.doubtful = true;
  await query("COMMIT");
  doubt.doubtful = false;
  return null;
}

function notRenamed({ sqlState, message }: Attempt<object> & { ok: false }, swap: Swap): Failure {
  if (sqlState === "55006") return inUse(swap, "");
  return lasting(
    `The databases cannot be renamed (SQLSTATE ${sqlState}): ${shorten(message, 200)}. Nothing was changed; the restored ` +
      `database ${swap.staging} is ready.`,
  );
}
