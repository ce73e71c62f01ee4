/**
 * `postgres.restore`: restores a backup into a new database, checks that, and puts it in the place of the old one, which
 * is kept under another name.
 */

import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { JsonObject } from "../../domain/json.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { archiveOf, backupFolder, backupName, type Manifest, readManifest, sha256Of } from "./backup-files.ts";
import { runClient } from "./client-program.ts";
import { type Query, withClient } from "./connect.ts";
import { lostProperties } from "./database-properties.ts";
import { forbiddenExtensions } from "./extensions.ts";
import { headroomFor } from "./headroom.ts";
import { fillNewDatabase, makingSession, stagingOf } from "./new-database.ts";
import { missingRights } from "./rights.ts";
import { outOfScope, showBytes } from "./scope.ts";
import { swapDatabases } from "./swap-databases.ts";

const input = z.strictObject({
  /** A backup of the target's folder, as `postgres.backup` names it. */
  backup: backupName,
  /** False: only make and check the new database. A later step then swaps what people have looked at. */
  swap: z.boolean().default(true),
});

type Input = z.output<typeof input>;

/** What is restored under which name, and what becomes of the database that is there, which its oid identifies. */
export type RestorePlan = {
  readonly database: string;
  readonly databaseOid: number;
  readonly backup: string;
  readonly sha256: string;
  readonly staging: string;
  readonly kept: string;
  readonly swap: boolean;
  /** Extensions of the backup that only a superuser may create. */
  readonly leftOut: readonly string[];
};

export const restore: ChangeAction<Input, RestorePlan> = {
  name: "postgres.restore",
  summary: "Restores a backup into a new database and puts that in the place of the old one.",
  onHost: true,
  input,
  kind: "change",
  risk: "irreversible",
  repeat: "once",
  riskOf: (given: JsonObject) => (given["swap"] === false ? "high" : "irreversible"),
  plan,
  apply,
  probe,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<RestorePlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<RestorePlan>> => {
    const facts = await readFacts(query, postgres);
    if ("status" in facts) return facts;
    const found = await sound(input.backup, facts.database, postgres, context);
    if ("status" in found) return found;
    const headroom = await headroomFor(query, postgres, {
      bytes: facts.bytes,
      relations: [],
      waitsForTransactions: false,
    });
    if (headroom.status === "failed") return headroom;
    const { manifest } = found;
    const leftOut = await forbiddenExtensions(query, found.list);
    const short = manifest.sha256.slice(0, 8);
    const staging = `${cut(facts.database)}_restore_${short}`;
    const there = await stagingOf(query, staging, manifest.sha256);
    if (there === "foreign")
      return lasting(`There is a database ${staging} that is not of this restore. Look at it, and drop it.`);
    const kept = await freeName(query, `${cut(facts.database)}_before_${short}`);
    const { database, oid } = facts;
    const { backup, swap } = input;
    const lost = swap ? await lostProperties(query, database) : [];
    const steps = [
      there === "ready"
        ? `use the database ${staging}, restored and checked before, from the backup ${backup} of ${manifest.takenAt}`
        : `restore the backup ${backup} of ${manifest.takenAt} (${showBytes(manifest.bytes)}, ${manifest.tables} tables) into the new database ${staging}, and check it`,
      ...leftOut.map(
        (name) => `leave out the extension ${name}, which only a superuser may create: have it created afterwards`,
      ),
      ...lost,
      ...(swap
        ? [
            `end every session of allowed users in ${database}, rename it to ${kept} and ${staging} to ${database}; what was written since the backup is then only in ${kept}`,
            `keep ${kept}, closed to connections, until somebody drops it`,
          ]
        : []),
    ];
    const nothing = !swap && there === "ready";
    return {
      status: "planned",
      plan: { database, databaseOid: oid, backup, sha256: manifest.sha256, staging, kept, swap, leftOut },
      effects: nothing ? [] : [...steps, ...headroom.notes],
    };
  });
}

async function apply(plan: RestorePlan, context: ActionContext): Promise<Outcome> {
  const doubt = { doubtful: false };
  const state = await stateOf(plan, context);
  if (typeof state !== "string") return state;
  if (state === "swapped")
    return { status: "done", result: { database: plan.database, kept: plan.kept, swapped: true } };
  if (state === "other") return lasting(`The database ${plan.database} is another one than was planned. Plan anew.`);
  const postgres = context.target?.postgres as PostgresTarget;
  const found = await sound(plan.backup, plan.database, postgres, context);
  if ("status" in found) return found;
  if (found.manifest.sha256 !== plan.sha256)
    return lasting(`The backup ${plan.backup} is another one than was planned. Plan anew.`);
  const { database, staging, sha256, kept, leftOut } = plan;
  const { archive, manifest, list } = found;
  const filled = await fillNewDatabase(
    { database, staging, archive, list, leftOut, sha256, tables: manifest.tables },
    postgres,
    context,
  );
  if (filled) return filled;
  const { tables } = manifest;
  if (!plan.swap) return { status: "done", result: { database: staging, tables, leftOut, swapped: false } };
  const failure = await swapDatabases({ database, staging, kept }, context, doubt);
  if (!failure) return { status: "done", result: { database, kept, tables, leftOut, swapped: true } };
  if (!doubt.doubtful) return failure;
  return { status: "unknown", reason: `The databases were being renamed when this happened: ${failure.reason}` };
}

async function probe(plan: RestorePlan, context: ActionContext): Promise<"applied" | "not-applied" | "unknown"> {
  const state = await stateOf(plan, context);
  if (state === "swapped") return "applied";
  if (state === "untouched") return "not-applied";
  return state === "ready" ? (plan.swap ? "not-applied" : "applied") : "unknown";
}

/** Where the planned database and the new one are now. */
async function stateOf(
  plan: RestorePlan,
  context: ActionContext,
): Promise<"swapped" | "ready" | "untouched" | "other" | Failure> {
  return withClient(
    context,
    async (query) => {
      const rows = await query<{ name: string; oid: number }>(
        "SELECT datname::text AS name, oid::int8::float8 AS oid FROM pg_database WHERE datname = ANY($1::text[])",
        [[plan.database, plan.kept]],
      );
      const oidOf = (name: string) => rows.find((row) => row.name === name)?.oid;
      if (plan.swap && oidOf(plan.kept) === plan.databaseOid && oidOf(plan.database) !== undefined) return "swapped";
      if (oidOf(plan.database) !== plan.databaseOid) return "other";
      return (await stagingOf(query, plan.staging, plan.sha256)) === "ready" ? "ready" : "untouched";
    },
    { database: makingSession.database ?? "" },
  );
}

/** The archive, where it is as it was written and can be read; a Failure otherwise. */
async function sound(
  backup: string,
  database: string,
  postgres: PostgresTarget,
  { signal }: ActionContext,
): Promise<{ readonly archive: string; readonly manifest: Manifest; readonly list: string } | Failure> {
  const found = await backupFolder(postgres);
  if ("status" in found) return found;
  const archive = archiveOf(found.folder, backup);
  const manifest = await readManifest(found.folder, backup);
  if (!manifest) return lasting(`There is no whole backup ${backup} in ${found.folder}.`);
  if (manifest.database !== database) {
    return lasting(`The backup ${backup} is of the database ${manifest.database}, not of ${database}.`);
  }
  try {
    if ((await sha256Of(archive, signal)) !== manifest.sha256) {
      return lasting(`The backup ${backup} is not as it was written: its SHA-256 is another one. Take another backup.`);
    }
  } catch (error) {
    if (signal.aborted) return passing("Stopped while the backup was read.");
    const { code = "" } = error as NodeJS.ErrnoException;
    return lasting(`The backup ${archive} cannot be read (${code}).`);
  }
  const listed = await runClient(postgres, "pg_restore", ["--list", archive], { database, signal });
  return listed.status === "failed" ? listed : { archive, manifest, list: listed.output };
}

interface Facts {
  readonly database: string;
  readonly oid: number;
  readonly bytes: number;
}

async function readFacts(query: Query, postgres: PostgresTarget): Promise<Facts | Failure> {
  const missing = (await missingRights(query, postgres, "cancel")) ?? (await outOfScope(query, postgres));
  if (missing) return missing;
  const [facts] = await query<Facts & { owned: boolean; owner: string; creates: boolean; slots: number }>(
    `SELECT d.datname::text AS database, d.oid::int8::float8 AS oid, pg_database_size(d.oid)::float8 AS bytes,
            pg_has_role(d.datdba, 'USAGE') AS owned, pg_get_userbyid(d.datdba)::text AS owner,
            r.rolcreatedb OR r.rolsuper AS creates,
            (SELECT count(*)::int FROM pg_replication_slots s WHERE s.database = d.datname) AS slots
       FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user`,
  );
  if (!facts) throw new Error("The statement that reads the database's facts returned no row.");
  const { database, oid, bytes } = facts;
  if (!facts.owned) {
    return lasting(
      `Paramedic's role does not own the database ${database}. Give it the owner's rights (GRANT "${facts.owner}" TO its role).`,
    );
  }
  if (!facts.creates) return lasting("Paramedic's role may not make databases. Give it CREATEDB.");
  if (facts.slots > 0)
    return lasting(
      `${database} has logical replication slots, which would stay with the old database. Restore by hand.`,
    );
  return { database, oid, bytes };
}

async function freeName(query: Query, wanted: string): Promise<string> {
  const rows = await query<{ name: string }>(
    "SELECT datname::text AS name FROM pg_database WHERE starts_with(datname, $1)",
    [wanted],
  );
  const taken = new Set(rows.map(({ name }) => name));
  let name = wanted;
  for (let number = 2; taken.has(name); number++) name = `${wanted}_${number}`;
  return name;
}

/** Leaves room for what is added, in at most 63 bytes, and only what needs no care as an argument of a program. */
function cut(database: string): string {
  return database.replace(/[^A-Za-z0-9_]/g, "_").slice(0, 40);
}
