/** The database that a backup is restored into: made empty like the one it is to replace, filled, checked, and marked. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ActionContext, Failure } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { runClient } from "./client-program.ts";
import { type Query, type Session, type SessionOptions, withClient } from "./connect.ts";
import { withoutExtensions } from "./extensions.ts";
import { shorten } from "./query-text.ts";

/** Every server has it; databases are made and renamed from there, since that takes a session in none of them. */
export const neutralDatabase = "postgres";

export const makingSession: SessionOptions = {
  database: neutralDatabase,
  writes: true,
  statementTimeoutMs: 0,
  callTimeoutMs: null,
};

/** The SQLSTATE of a database that has sessions. */
const inUse = "55006";
const unfinished = "paramedic: being restored";
const finished = (sha256: string) => `paramedic: restored and checked, ${sha256}`;

/** Which archive is restored into which database, like which other one, and how many tables must be there then. */
export interface Filling {
  readonly database: string;
  readonly staging: string;
  readonly archive: string;
  /** What is in it, as `pg_restore --list` prints it, and the extensions that are left out. */
  readonly list: string;
  readonly leftOut: readonly string[];
  readonly sha256: string;
  readonly tables: number;
}

/** What is there under the new database's name. */
export type Staging = "absent" | "unfinished" | "ready" | "foreign";

export async function stagingOf(query: Query, staging: string, sha256: string): Promise<Staging> {
  const [found] = await query<{ comment: string | null }>(
    "SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1",
    [staging],
  );
  if (!found) return "absent";
  if (found.comment === finished(sha256)) return "ready";
  return found.comment === unfinished ? "unfinished" : "foreign";
}

/** Makes the new database, unless it is ready from an earlier step. Null, or the Failure; what is half made is dropped. */
export async function fillNewDatabase(
  filling: Filling,
  postgres: PostgresTarget,
  context: ActionContext,
): Promise<Failure | null> {
  const { staging, sha256 } = filling;
  const made = await withClient(context, (query, _, session) => makeEmpty(query, session, filling), makingSession);
  if (made === "ready") return null;
  if (made !== "made") return made;
  const restored = await restoreInto(filling, postgres, context);
  const failure = restored.status === "failed" ? restored : await check(filling, context);
  if (!failure) return (await mark(staging, finished(sha256), context)) ?? null;
  // Where the signal ends this, the database stays, marked as unfinished; the next attempt drops it.
  const dropped = await withClient(context, async (query, _, session) => drop(query, session, staging), makingSession);
  const what =
    dropped === null ? "What was restored of it was dropped." : `The unfinished database ${staging} is still there.`;
  return { ...failure, reason: `${failure.reason} ${what}` };
}

async function restoreInto(
  { staging, archive, list, leftOut }: Filling,
  postgres: PostgresTarget,
  { signal }: ActionContext,
): ReturnType<typeof runClient> {
  const args = ["--exit-on-error", "--no-password", `--dbname=${staging}`];
  const options = { database: staging, signal };
  if (leftOut.length === 0) return runClient(postgres, "pg_restore", [...args, archive], options);
  const folder = await mkdtemp(join(tmpdir(), "paramedic-restore-"));
  try {
    const chosen = join(folder, "list");
    await writeFile(chosen, withoutExtensions(list, leftOut));
    return await runClient(postgres, "pg_restore", [...args, `--use-list=${chosen}`, archive], options);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeEmpty(query: Query, session: Session, filling: Filling): Promise<"made" | "ready" | Failure> {
  const { database, staging, sha256 } = filling;
  const there = await stagingOf(query, staging, sha256);
  if (there === "ready") return "ready";
  if (there === "foreign")
    return lasting(`There is a database ${staging} that is not of this restore. Look at it, and drop it.`);
  if (there === "unfinished") {
    const failure = await drop(query, session, staging);
    if (failure) return failure;
  }
  const [made] = await query<{ create: string; comment: string }>(
    `SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L', $2::text,
              pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)
              || CASE j->>'datlocprovider'
                   WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', coalesce(j->>'datlocale', j->>'daticulocale'))
                   WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', j->>'datlocale')
                   WHEN 'c' THEN ' LOCALE_PROVIDER libc' ELSE '' END
              || CASE WHEN t.spcname <> 'pg_default' AND has_tablespace_privilege(t.oid, 'CREATE')
                   THEN format(' TABLESPACE %I', t.spcname) ELSE '' END AS create,
            format('COMMENT ON DATABASE %I IS %L', $2::text, $3::text) AS comment
       FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace, to_jsonb(d) j WHERE d.datname = $1`,
    [database, staging, unfinished],
  );
  if (!made) return lasting(`There is no database ${database} any more.`);
  for (const statement of [made.create, made.comment]) {
    const ran = await session.attempt(statement);
    if (!ran.ok)
      return lasting(`The database ${staging} cannot be made (SQLSTATE ${ran.sqlState}): ${shorten(ran.message, 200)}`);
  }
  return "made";
}

/** Sessions of Paramedic's own, of a restore whose worker or program was killed, are ended; those of others are not. */
async function drop(query: Query, session: Session, staging: string): Promise<Failure | null> {
  await query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = $1 AND usename = current_user AND application_name = 'paramedic' AND pid <> pg_backend_pid()`,
    [staging],
  );
  const [statement] = await query<{ text: string }>("SELECT format('DROP DATABASE IF EXISTS %I', $1::text) AS text", [
    staging,
  ]);
  // The server itself waits some seconds for sessions that are about to end.
  const dropped = await session.attempt(statement?.text ?? "");
  if (dropped.ok) return null;
  if (dropped.sqlState !== inUse) {
    return lasting(
      `The database ${staging} cannot be dropped (SQLSTATE ${dropped.sqlState}): ${shorten(dropped.message, 200)}`,
    );
  }
  const users = await query<{ pid: number }>("SELECT pid FROM pg_stat_activity WHERE datname = $1 ORDER BY pid", [
    staging,
  ]);
  const who = users.length === 0 ? "" : ` (pid ${users.map(({ pid }) => pid).join(", ")})`;
  return passing(
    `The unfinished database ${staging} of an earlier restore is in use${who}, so it cannot be made anew. End who uses ` +
      "it, and try again.",
  );
}

/** Every table of the archive is there, every index is valid and every constraint holds; then the planner's statistics. */
async function check(filling: Filling, context: ActionContext): Promise<Failure | null> {
  return withClient(
    context,
    async (query, _, session): Promise<Failure | null> => {
      const [found] = await query<{ tables: number; invalid: number; unvalidated: number }>(
        `SELECT (SELECT count(*)::int FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') AS tables,
                (SELECT count(*)::int FROM pg_index WHERE NOT indisvalid) AS invalid,
                (SELECT count(*)::int FROM pg_constraint WHERE NOT convalidated) AS unvalidated`,
      );
      if (!found) throw new Error("The statement that counts tables returned no row.");
      if (found.tables < filling.tables || found.invalid > 0) {
        return lasting(
          `The restored database ${filling.staging} is not whole: ${found.tables} of ${filling.tables} tables, ` +
            `${found.invalid} invalid indexes.`,
        );
      }
      const analyzed = await session.attempt("ANALYZE");
      return analyzed.ok ? null : lasting(`The restored database cannot be analyzed (SQLSTATE ${analyzed.sqlState}).`);
    },
    { ...makingSession, database: filling.staging },
  );
}

async function mark(staging: string, comment: string, context: ActionContext): Promise<Failure | null> {
  return withClient(
    context,
    async (query, _, session): Promise<Failure | null> => {
      const [statement] = await query<{ text: string }>(
        "SELECT format('COMMENT ON DATABASE %I IS %L', $1::text, $2::text) AS text",
        [staging, comment],
      );
      const marked = await session.attempt(statement?.text ?? "");
      return marked.ok ? null : lasting(`The database ${staging} cannot be marked (SQLSTATE ${marked.sqlState}).`);
    },
    makingSession,
  );
}
