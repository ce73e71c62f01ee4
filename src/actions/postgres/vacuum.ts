/** `postgres.vacuum`: frees the room of dead rows; with `full`, inside a maintenance window, rewrites tables. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { JsonObject } from "../../domain/json.ts";
import { openForMs } from "../../domain/maintenance-window.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import { type Query, type Session, withClient } from "./connect.ts";
import { type Course, doNext, newCourse, toldWith } from "./course.ts";
import { headroomFor } from "./headroom.ts";
import { exclusiveSession, gentleSession, maintainPatiently } from "./maintain.ts";
import { outOfScope, showBytes, type Table } from "./scope.ts";
import { chooseTables, type PlannedTable, plannedTable, sameTable, tableChoice } from "./table-choice.ts";

/** What is left of a window must be worth beginning. */
const leastWindowMs = 60_000;

const input = z
  .strictObject({
    ...tableChoice,
    /** Where no tables are named: only those with so many dead rows. */
    minDeadRows: z.int().min(1).max(1_000_000_000).default(1_000),
    /** Rewrite the named tables, which nobody can read meanwhile. Only inside a maintenance window of the target. */
    full: z.boolean().default(false),
  })
  .refine(({ full, tables }) => !full || tables !== undefined, {
    path: ["tables"],
    error: "must be named for full: a rewrite is never chosen by itself",
  });

type Input = z.output<typeof input>;

/** Which tables are vacuumed, in this order. For `full` each with the file that is rewritten; null otherwise. */
export type VacuumPlan = {
  readonly full: boolean;
  readonly tables: readonly (PlannedTable & { readonly file: number | null })[];
};

export const vacuum: ChangeAction<Input, VacuumPlan> = {
  name: "postgres.vacuum",
  summary: "Frees the room that dead rows take up, and renews the planner's statistics.",
  input,
  kind: "change",
  risk: "irreversible",
  repeat: "safe",
  riskOf: (given: JsonObject) => (given["full"] === undefined || given["full"] === false ? "low" : "irreversible"),
  plan,
  apply,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<VacuumPlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<VacuumPlan>> => {
    const closed = input.full ? closedWindow(postgres, context.now()) : null;
    if (closed) return closed;
    const tables = await chooseTables(query, postgres, input, { column: "n_dead_tup", atLeast: input.minDeadRows });
    if ("status" in tables) return tables;
    if (!input.full) {
      return {
        status: "planned",
        plan: { full: false, tables: tables.map((table) => ({ ...plannedTable(table), file: null })) },
        effects: tables.map(({ quoted }) => `vacuum and analyze ${quoted}`),
      };
    }
    const partitioned = tables.find(({ kind }) => kind === "p");
    if (partitioned) return lasting(`${partitioned.quoted} is partitioned. Name its partitions one by one.`);
    const headroom = await headroomFor(query, postgres, needOf(tables));
    if (headroom.status === "failed") return headroom;
    const files = await filesOf(query, tables);
    return {
      status: "planned",
      plan: {
        full: true,
        tables: tables.map((table) => ({ ...plannedTable(table), file: files.get(table.oid) ?? 0 })),
      },
      effects: [
        ...tables.map(
          ({ quoted, totalBytes }) =>
            `rewrite ${quoted} (${showBytes(totalBytes)}): nobody can read or write it until that is done`,
        ),
        ...headroom.notes,
      ],
    };
  });
}

async function apply(plan: VacuumPlan, context: ActionContext): Promise<Outcome> {
  const postgres = context.target?.postgres;
  const windowMs = plan.full && postgres ? openForMs(postgres.maintenance ?? [], context.now()) : 0;
  const closed = plan.full && postgres ? closedWindow(postgres, context.now()) : null;
  if (closed) return closed;
  const course = newCourse();
  const outcome = await withClient(
    context,
    (query, postgres, session) => vacuumAsPlanned(plan, context, query, postgres, session, course),
    plan.full ? exclusiveSession(windowMs) : gentleSession,
  );
  return toldWith(course, outcome, "Vacuumed", "vacuum");
}

async function vacuumAsPlanned(
  plan: VacuumPlan,
  context: ActionContext,
  query: Query,
  postgres: PostgresTarget,
  session: Session,
  course: Course,
): Promise<Outcome> {
  const refused = await outOfScope(query, postgres);
  if (refused) return refused;
  const options = plan.full ? "FULL, ANALYZE" : "TRUNCATE false, ANALYZE";
  const gone: string[] = [];
  for (const planned of plan.tables) {
    const table = await sameTable(query, postgres, planned);
    if (!table || (plan.full && (await filesOf(query, [table])).get(table.oid) !== planned.file)) {
      gone.push(`${planned.schema}.${planned.table}`);
      continue;
    }
    const room = plan.full ? await headroomFor(query, postgres, needOf([table])) : null;
    if (room?.status === "failed") return room;
    // What is left of the window now; the earlier tables have taken some of it.
    const closed = plan.full ? closedWindow(postgres, context.now()) : null;
    if (closed) return closed;
    if (plan.full) {
      const left = openForMs(postgres.maintenance ?? [], context.now());
      await query("SELECT set_config('statement_timeout', $1, false)", [String(left)]);
    }
    const { quoted } = table;
    const maintenance = () => maintainPatiently(session, `VACUUM (${options}) ${quoted}`, quoted, context);
    const failure = await doNext(course, quoted, maintenance);
    if (failure) return failure;
  }
  return { status: "done", result: { vacuumed: course.done, gone } };
}

/** A rewrite holds the old and the new table, with its indexes, until it is done. */
function needOf(tables: readonly Table[]) {
  const bytes = Math.max(0, ...tables.map(({ totalBytes }) => totalBytes));
  return { bytes: Math.ceil(bytes * 1.1), relations: tables.map(({ oid }) => oid), waitsForTransactions: false };
}

/** Which file each table is in; a rewrite makes another one. */
async function filesOf(query: Query, tables: readonly Table[]): Promise<ReadonlyMap<number, number>> {
  const rows = await query<{ oid: number; file: number }>(
    "SELECT oid::int8::float8 AS oid, relfilenode::int8::float8 AS file FROM pg_class WHERE oid = ANY($1::oid[])",
    [tables.map(({ oid }) => oid)],
  );
  return new Map(rows.map(({ oid, file }) => [oid, file]));
}

function closedWindow(postgres: PostgresTarget, now: number): Failure | null {
  const windows = postgres.maintenance ?? [];
  if (openForMs(windows, now) >= leastWindowMs) return null;
  const known = windows.map(({ text }) => text).join("; ");
  return lasting(
    windows.length === 0
      ? "A rewrite (full: true) needs a maintenance window, and the target has none. Configure postgres.maintenance, or leave full out."
      : `A rewrite (full: true) is only made inside a maintenance window, and none is open (${known}). Leave full out, or wait.`,
  );
}
