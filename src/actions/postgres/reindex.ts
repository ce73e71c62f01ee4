/** `postgres.reindex`: rebuilds indexes of a table while others read and write, and tells what a failed rebuild leaves. */

import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";
import { type Query, type Session, withClient } from "./connect.ts";
import { type Course, doNext, newCourse, toldWith } from "./course.ts";
import { headroomFor } from "./headroom.ts";
import { findLeftovers } from "./leftovers.ts";
import { concurrentSession, maintain } from "./maintain.ts";
import { missingRights } from "./rights.ts";
import { catalogueName, findTable, notMaintainable, outOfScope, schemaName, showBytes, type Table } from "./scope.ts";

const input = z.strictObject({
  schema: schemaName,
  table: catalogueName,
  /** Left out: all of the table. */
  indexes: z.array(catalogueName).min(1).max(100).optional(),
});

type Input = z.output<typeof input>;

/** Which indexes are rebuilt, the smallest first. A rebuilt index has another oid under the same name. */
export type ReindexPlan = {
  readonly schema: string;
  readonly table: string;
  readonly indexes: readonly { readonly oid: number; readonly index: string }[];
};

interface Index {
  readonly oid: number;
  readonly index: string;
  readonly quoted: string;
  readonly bytes: number;
  readonly exclusion: boolean;
}

export const reindex: ChangeAction<Input, ReindexPlan> = {
  name: "postgres.reindex",
  summary: "Rebuilds indexes of a table while others go on reading and writing it.",
  input,
  kind: "change",
  risk: "high",
  repeat: "safe",
  plan,
  apply,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<ReindexPlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<ReindexPlan>> => {
    const table = await rebuildable(query, postgres, input);
    if ("status" in table) return table;
    const all = await indexesOf(query, table);
    const named = new Set(input.indexes ?? all.filter(({ exclusion }) => !exclusion).map(({ index }) => index));
    const chosen = all.filter(({ index }) => named.has(index));
    const exclusion = chosen.find((one) => one.exclusion);
    if (exclusion) return lasting(`${exclusion.quoted} is of an exclusion constraint, which cannot be rebuilt so.`);
    const unknown = [...named].find((name) => !all.some(({ index }) => index === name));
    if (unknown !== undefined)
      return lasting(`${table.quoted} has no valid index of the name ${JSON.stringify(unknown)}.`);
    const headroom = await headroomFor(query, postgres, needOf(table, chosen));
    if (headroom.status === "failed") return headroom;
    return {
      status: "planned",
      plan: {
        schema: table.schema,
        table: table.table,
        indexes: chosen.map(({ oid, index }) => ({ oid, index })),
      },
      effects: [
        ...chosen.map(({ quoted, bytes }) => `rebuild ${quoted} of ${table.quoted} (${showBytes(bytes)})`),
        ...(chosen.length > 0 ? headroom.notes : []),
      ],
    };
  });
}

async function apply(plan: ReindexPlan, context: ActionContext): Promise<Outcome> {
  const course = newCourse();
  const outcome = await withClient(
    context,
    (query, postgres, session) => rebuildAsPlanned(plan, query, postgres, session, course),
    concurrentSession,
  );
  const told = toldWith(course, outcome, "Rebuilt", "rebuild");
  if (told.status !== "unknown") return told;
  return { ...told, reason: `${told.reason} What it left is told by postgres.invalid-indexes.` };
}

async function rebuildAsPlanned(
  plan: ReindexPlan,
  query: Query,
  postgres: PostgresTarget,
  session: Session,
  course: Course,
): Promise<Outcome> {
  const gone: string[] = [];
  for (const planned of plan.indexes) {
    const table = await rebuildable(query, postgres, plan);
    if ("status" in table) return table;
    const now = (await indexesOf(query, table)).find(({ index }) => index === planned.index);
    if (now?.oid !== planned.oid) {
      gone.push(planned.index);
      continue;
    }
    const room = await headroomFor(query, postgres, needOf(table, [now]));
    if (room.status === "failed") return room;
    const failure = await doNext(course, now.quoted, () => rebuild(query, postgres, session, table, now));
    if (failure) return failure;
  }
  return { status: "done", result: { rebuilt: course.done, gone } };
}

async function rebuild(
  query: Query,
  postgres: PostgresTarget,
  session: Session,
  table: Table,
  { index, oid, quoted }: Index,
): Promise<Failure | null> {
  const failure = await maintain(session, `REINDEX INDEX CONCURRENTLY ${quoted}`, quoted);
  const left = await findLeftovers(query, postgres, table.oid);
  if (left.length > 0) {
    const names = left.map((one) => one.quoted).join(", ");
    const why = failure?.reason ?? "The server reported no error.";
    return lasting(`${why} The rebuild left invalid indexes: ${names}. Drop them by postgres.drop-invalid-indexes.`);
  }
  if (failure) return failure;
  const after = (await indexesOf(query, table)).find((one) => one.index === index);
  if (after && after.oid !== oid) return null;
  return lasting(`${quoted} was not rebuilt, though the server reported no error.`);
}

/** The table, where it may be rebuilt now: nobody else builds there, and nothing is left of an earlier build. */
async function rebuildable(
  query: Query,
  postgres: PostgresTarget,
  name: { readonly schema: string; readonly table: string },
): Promise<Table | Failure> {
  const missing = (await missingRights(query, postgres, "see")) ?? (await outOfScope(query, postgres));
  if (missing) return missing;
  const table = await findTable(query, postgres, name);
  if ("status" in table) return table;
  if (!table.maintainable) return notMaintainable(table);
  if (table.kind === "p") return lasting(`${table.quoted} is partitioned. Name its partitions one by one.`);
  return (await leftoverFailure(query, postgres, table)) ?? table;
}

/** The Failure where something is left of an earlier build of the table, or somebody is building there. */
export async function leftoverFailure(query: Query, postgres: PostgresTarget, table: Table): Promise<Failure | null> {
  const left = await findLeftovers(query, postgres, table.oid);
  if (left.length === 0) return null;
  const names = left.map(({ quoted }) => quoted).join(", ");
  if (left.some(({ building }) => building))
    return passing(`Somebody is building at ${table.quoted} (${names}). Wait for it.`);
  return lasting(
    `${table.quoted} has invalid indexes of an earlier build: ${names}. Drop them first (postgres.drop-invalid-indexes).`,
  );
}

function indexesOf(query: Query, table: Table): Promise<Index[]> {
  return query<Index>(
    `SELECT c.oid::int8::float8 AS oid, c.relname::text AS index, format('%I.%I', n.nspname, c.relname) AS quoted,
            pg_relation_size(c.oid)::float8 AS bytes, i.indisexclusion AS exclusion
       FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE i.indrelid = $1 AND i.indisvalid AND c.relkind = 'i'
      ORDER BY pg_relation_size(c.oid), c.relname`,
    [table.oid],
  );
}

/** One index is rebuilt at a time, beside the old one. */
function needOf(table: Table, indexes: readonly Index[]) {
  const largest = Math.max(0, ...indexes.map(({ bytes }) => bytes));
  return { bytes: Math.ceil(largest * 1.2), relations: [table.oid], waitsForTransactions: true };
}
