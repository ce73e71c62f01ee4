/** `postgres.backup`: writes an archive of the database to the target's folder and verifies that it can be read. */

import { open, rm, stat } from "node:fs/promises";
import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { archiveOf, backupFolder, keep, nextName, readManifest, sha256Of, tablesIn } from "./backup-files.ts";
import { runClient } from "./client-program.ts";
import { withClient } from "./connect.ts";
import { freeBytes } from "./headroom.ts";
import { outOfScope, showBytes } from "./scope.ts";

const mebibyte = 1_048_576;

const input = z.strictObject({});

/** Which database is written to which archive. */
export type BackupPlan = { readonly database: string; readonly folder: string; readonly backup: string };

export const backup: ChangeAction<Record<string, never>, BackupPlan> = {
  name: "postgres.backup",
  summary: "Writes a verified backup of the database to the target's folder.",
  onHost: true,
  input,
  kind: "change",
  risk: "low",
  repeat: "safe",
  plan,
  apply,
};

interface Facts {
  readonly database: string;
  readonly version: number;
  readonly bytes: number;
}

async function plan(_input: Record<string, never>, context: ActionContext): Promise<Planned<BackupPlan>> {
  const facts = await readFacts(context);
  if ("status" in facts) return facts;
  const postgres = context.target?.postgres as PostgresTarget;
  const found = await backupFolder(postgres);
  if ("status" in found) return found;
  const { folder } = found;
  const { name, last } = await nextName(folder, facts.database);
  const room = await roomFailure(postgres, folder, last, facts);
  if (room) return room;
  return {
    status: "planned",
    plan: { database: facts.database, folder, backup: name },
    effects: [
      `write a backup of ${facts.database} (${showBytes(facts.bytes)} in the server) to ${archiveOf(folder, name)}`,
    ],
  };
}

async function apply(plan: BackupPlan, context: ActionContext): Promise<Outcome> {
  const started = Date.now();
  const facts = await readFacts(context);
  if ("status" in facts) return facts;
  const postgres = context.target?.postgres as PostgresTarget;
  const found = await backupFolder(postgres);
  if ("status" in found) return found;
  if (found.folder !== plan.folder || facts.database !== plan.database) {
    return lasting("The target's database or folder for backups is another one than was planned. Plan anew.");
  }
  const there = await readManifest(plan.folder, plan.backup);
  if (there) return { status: "done", result: { backup: plan.backup, ...there, written: false } };
  const partial = `${archiveOf(plan.folder, plan.backup)}.partial`;
  try {
    const outcome = await writeArchive(plan, postgres, partial, facts, context);
    if (outcome.status !== "done") return outcome;
    context.log.info({ backup: plan.backup, durationMs: Date.now() - started }, "a backup was written and verified");
    return outcome;
  } catch (error) {
    if (context.signal.aborted) return passing("Stopped while the backup was written; nothing of it was kept.");
    const { code = "" } = error as NodeJS.ErrnoException;
    if (/^E[A-Z]+$/.test(code))
      return lasting(`The backup cannot be written to ${plan.folder} (${code}). Check the folder and its disk.`);
    throw error;
  } finally {
    await rm(partial, { force: true });
  }
}

async function writeArchive(
  { database, folder, backup }: BackupPlan,
  postgres: PostgresTarget,
  partial: string,
  facts: Facts,
  { signal, now }: ActionContext,
): Promise<Outcome> {
  await rm(partial, { force: true });
  // Everything of the database is in it: nobody else reads it.
  await (await open(partial, "wx", 0o600)).close();
  const takenAt = new Date(now()).toISOString();
  const options = { database, signal };
  const dump = ["--format=custom", "--no-password", "--lock-wait-timeout=10000", `--file=${partial}`];
  const dumped = await runClient(postgres, "pg_dump", dump, options);
  if (dumped.status === "failed") return dumped;
  const listed = await runClient(postgres, "pg_restore", ["--list", partial], options);
  if (listed.status === "failed") return unreadable(listed);
  // The list stands at the beginning; what follows may be cut or damaged all the same.
  const read = await runClient(postgres, "pg_restore", ["--file=/dev/null", partial], options);
  if (read.status === "failed") return unreadable(read);
  const manifest = {
    database,
    takenAt,
    serverVersion: facts.version,
    bytes: (await stat(partial)).size,
    sha256: await sha256Of(partial, signal),
    tables: tablesIn(listed.output),
  };
  await keep(folder, backup, partial, manifest);
  return { status: "done", result: { backup, ...manifest, written: true } };
}

function unreadable(failure: Failure): Failure {
  const reason = `The backup cannot be read again, so it is not kept. ${failure.reason}`;
  return { ...failure, reason };
}

async function readFacts(context: ActionContext): Promise<Facts | Failure> {
  return withClient(context, async (query, postgres): Promise<Facts | Failure> => {
    const refused = await outOfScope(query, postgres);
    if (refused) return refused;
    const [facts] = await query<Facts>(
      `SELECT current_database()::text AS database, current_setting('server_version_num')::int AS version,
              pg_database_size(current_database())::float8 AS bytes`,
    );
    if (!facts) throw new Error("The statement that reads the database's size returned no row.");
    return facts;
  });
}

/** An archive is compressed: as large as the last one and a fifth, or, where there is none, half of the database. */
async function roomFailure(
  postgres: PostgresTarget,
  folder: string,
  last: string | null,
  facts: Facts,
): Promise<Failure | null> {
  const before = last === null ? null : await readManifest(folder, last);
  const need = before ? before.bytes * 1.2 : facts.bytes / 2;
  const minFree = (postgres.minFreeMiB ?? 1_024) * mebibyte;
  const free = await freeBytes(folder);
  if (free !== null && free - need >= minFree) return null;
  return lasting(
    `The backup needs about ${showBytes(Math.ceil(need))}, but ${showBytes(free ?? 0)} are free at ${folder}, of which ` +
      `${showBytes(minFree)} must stay free (postgres.minFreeMiB). Make room first.`,
  );
}
