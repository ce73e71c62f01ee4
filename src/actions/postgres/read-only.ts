/**
 * `postgres.read-only`: makes a database read-only for sessions that begin from now on, and ends those that began before,
 * so that they begin again; and takes that back.
 */

import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned, Restacked } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import { type Query, type SessionOptions, withClient } from "./connect.ts";
import { shorten } from "./query-text.ts";
import { missingRights } from "./rights.ts";
import { outOfScope } from "./scope.ts";

const pollMs = 200;
/**
 * How Paramedic writes "on": the server takes any beginning of "true" and "yes", and keeps the spelling. It says who set
 * it and what was set before, so that a plan that is made anew after a crash still knows what to go back to.
 */
const ourSpelling = { unset: "tru", off: "ye" } as const;

const input = z.strictObject({
  /** How long sessions that began before may finish what they do; then they are ended, and what is uncommitted is lost. */
  graceSeconds: z.int().min(0).max(300).default(10),
});

type Input = z.output<typeof input>;

/** `before`: what `default_transaction_read_only` of the database was; null: not set for it. */
export type ReadOnlyPlan = {
  readonly database: string;
  readonly before: "off" | null;
  readonly graceSeconds: number;
};

interface Setting {
  readonly database: string;
  readonly owned: boolean;
  readonly owner: string;
  /** What is in force for the database: by Paramedic, by somebody else, or not. */
  readonly readOnly: "ours" | "theirs" | null;
  /** What is to be gone back to. */
  readonly before: "off" | null;
  readonly overriding: string | null;
}

const writing: SessionOptions = { writes: true, callTimeoutMs: null };

export const readOnly: ChangeAction<Input, ReadOnlyPlan> = {
  name: "postgres.read-only",
  summary: "Makes the target's database read-only, for sessions that are there already, too.",
  input,
  kind: "change",
  risk: "high",
  repeat: "safe",
  plan,
  apply,
  revert,
  restack,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<ReadOnlyPlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<ReadOnlyPlan>> => {
    const setting = await readSetting(query, postgres);
    if ("status" in setting) return setting;
    const { database, before } = setting;
    const plan = { database, before, graceSeconds: input.graceSeconds };
    if (setting.readOnly === "theirs") return { status: "planned", plan, effects: [] };
    const sessions = await writers(query, postgres, "allowed");
    const others = await writers(query, postgres, "others");
    return {
      status: "planned",
      plan,
      effects: [
        `make the database ${shorten(database, 63)} read-only for every session that begins from now on (before: ${before ?? "not set"})`,
        `end the sessions of allowed users there (${sessions} now), each when it is idle, at the latest after ${input.graceSeconds} s`,
        ...(others > 0 ? [`(${others} sessions of other users stay as they are and may go on writing)`] : []),
      ],
    };
  });
}

async function apply(plan: ReadOnlyPlan, context: ActionContext): Promise<Outcome> {
  const value = plan.before === "off" ? ourSpelling.off : ourSpelling.unset;
  return change(plan, context, ({ readOnly }, quoted) =>
    readOnly === null ? `ALTER DATABASE ${quoted} SET default_transaction_read_only = '${value}'` : null,
  );
}

/** Restores what was there before, unless somebody has changed it since. */
async function revert(plan: ReadOnlyPlan, context: ActionContext): Promise<Outcome> {
  return change(plan, context, ({ readOnly, before }, quoted) => {
    if (readOnly !== "ours") return null;
    const back = before === "off" ? "SET default_transaction_read_only = 'off'" : "RESET default_transaction_read_only";
    return `ALTER DATABASE ${quoted} ${back}`;
  });
}

/** It is read-only while any of them wants it: whichever is put back last puts back what was there before both. */
function restack(lower: ReadOnlyPlan, upper: ReadOnlyPlan): Restacked<ReadOnlyPlan> {
  if (lower.database !== upper.database) return { lower, upper };
  return { lower: null, upper: { ...upper, before: lower.before }, upperFirst: null };
}

/** Changes the setting, then ends the sessions that began before. The order makes it true of every later session. */
async function change(
  plan: ReadOnlyPlan,
  context: ActionContext,
  statementFor: (setting: Setting, quoted: string) => string | null,
): Promise<Outcome> {
  let altered = false;
  const outcome = await withClient(
    context,
    async (query, postgres, session): Promise<Outcome> => {
      const setting = await readSetting(query, postgres);
      if ("status" in setting) return setting;
      if (setting.database !== plan.database) {
        return lasting(`postgres.url leads to the database ${setting.database}, but ${plan.database} was planned.`);
      }
      const [name] = await query<{ quoted: string; now: string }>(
        "SELECT format('%I', current_database()) AS quoted, clock_timestamp()::text AS now",
      );
      if (!name) throw new Error("The statement that quotes the database's name returned no row.");
      const statement = statementFor(setting, name.quoted);
      const set = statement === null ? null : await session.attempt(statement);
      if (set && !set.ok) {
        return lasting(
          `The server did not change the database ${setting.database} (SQLSTATE ${set.sqlState}). Check the role's rights.`,
        );
      }
      altered = true;
      const { left, ...ended } = await endSessions(query, postgres, name.now, plan.graceSeconds, context.signal);
      if (left.length > 0) return stillThere(setting.database, left, context.signal);
      return { status: "done", result: { ...ended, left: 0, others: await writers(query, postgres, "others") } };
    },
    writing,
  );
  if (!altered || outcome.status !== "failed") return outcome;
  return { status: "unknown", reason: `The database was changed, but not every session ended: ${outcome.reason}` };
}

/** Sessions that began before go on as they began: of them it is not true yet. */
function stillThere(database: string, left: readonly number[], signal: AbortSignal): Outcome {
  const when = signal.aborted ? "when the step was stopped" : "after they were told to end";
  return {
    status: "unknown",
    reason:
      `${shorten(database, 63)} was changed for sessions that begin from now on, but ${left.length} that began before ` +
      `were still there ${when} (pid ${left.join(", ")}). Look at them, or end them.`,
  };
}

/** Ends sessions of allowed users that began before `since`: those that are idle at once, the others when they are. */
async function endSessions(
  query: Query,
  postgres: PostgresTarget,
  since: string,
  graceSeconds: number,
  signal: AbortSignal,
): Promise<{ readonly ended: number; readonly interrupted: number; readonly left: readonly number[] }> {
  let ended = 0;
  let interrupted = 0;
  const patience = performance.now() + graceSeconds * 1_000;
  for (;;) {
    const late = performance.now() >= patience;
    const found = await query<{ pid: number; idle: boolean; sent: boolean }>(
      `WITH old AS MATERIALIZED (
         SELECT a.pid, a.state = 'idle' AS idle FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
          WHERE ${allowedWriter} AND a.backend_start < $3::timestamptz
       )
       SELECT pid, idle, CASE WHEN idle OR $4 THEN pg_terminate_backend(pid) ELSE false END AS sent FROM old`,
      [postgres.users, postgres.databases, since, late],
    );
    ended += found.filter(({ idle, sent }) => sent && idle).length;
    interrupted += found.filter(({ idle, sent }) => sent && !idle).length;
    if (found.length === 0) return { ended, interrupted, left: [] };
    // After the grace each is told once more; what then remains does not react.
    if (signal.aborted || performance.now() >= patience + 5_000)
      return { ended, interrupted, left: found.map(({ pid }) => pid) };
    await pause(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

/** A session that may write: not Paramedic's own, nor a superuser's, nor one that replicates. */
const allowedWriter = `a.backend_type = 'client backend' AND a.datname = current_database()
  AND a.usename::text = ANY($1::text[]) AND a.datname::text = ANY($2::text[]) AND a.pid <> pg_backend_pid()
  AND a.application_name !~* '^(paramedic|pg_dump|pg_restore)' AND NOT r.rolsuper AND NOT r.rolreplication`;

async function writers(query: Query, postgres: PostgresTarget, which: "allowed" | "others"): Promise<number> {
  const [row] = await query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
      WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
        AND a.application_name !~* '^paramedic' AND (${allowedWriter}) = $3`,
    [postgres.users, postgres.databases, which === "allowed"],
  );
  return row?.count ?? 0;
}

async function readSetting(query: Query, postgres: PostgresTarget): Promise<Setting | Failure> {
  const missing = (await missingRights(query, postgres, "cancel")) ?? (await outOfScope(query, postgres));
  if (missing) return missing;
  const [setting] = await query<Setting & { readonly value: string | null }>(
    `WITH d AS (SELECT * FROM pg_database WHERE datname = current_database()),
          own AS (SELECT unnest(setconfig) AS pair FROM pg_db_role_setting s, d WHERE s.setdatabase = d.oid AND s.setrole = 0)
     SELECT d.datname::text AS database, pg_has_role(d.datdba, 'USAGE') AS owned, pg_get_userbyid(d.datdba)::text AS owner,
            (SELECT substr(pair, 31) FROM own WHERE pair LIKE 'default\\_transaction\\_read\\_only=%') AS value,
            (SELECT r.rolname::text FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
              WHERE (s.setdatabase = d.oid OR s.setdatabase = 0) AND r.rolname::text = ANY($1::text[])
                AND EXISTS (SELECT FROM unnest(s.setconfig) p WHERE p LIKE 'default\\_transaction\\_read\\_only=%')
              LIMIT 1) AS overriding
       FROM d`,
    [postgres.users],
  );
  if (!setting) throw new Error("The statement that reads the database's settings returned no row.");
  if (!setting.owned) {
    return lasting(
      `Paramedic's role does not own the database ${setting.database}. Give it the owner's rights (GRANT "${setting.owner}" TO its role).`,
    );
  }
  if (setting.overriding !== null) {
    return lasting(
      `The role ${setting.overriding} has a default_transaction_read_only of its own, which wins over the database's. Reset it first.`,
    );
  }
  const { value, ...rest } = setting;
  return { ...rest, ...meaningOf(value) };
}

function meaningOf(value: string | null): Pick<Setting, "readOnly" | "before"> {
  if (value === ourSpelling.unset) return { readOnly: "ours", before: null };
  if (value === ourSpelling.off) return { readOnly: "ours", before: "off" };
  if (value === null) return { readOnly: null, before: null };
  return /^(on|1|t|y)/i.test(value) ? { readOnly: "theirs", before: null } : { readOnly: null, before: "off" };
}
