/** `postgres.create-index`: builds an index while others read and write. Only a valid index counts as built. */

import { createHash } from "node:crypto";
import { z } from "zod";
import type { ActionContext, ChangeAction, Failure, Outcome, Planned } from "../../domain/action.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting } from "../failure.ts";
import { type Query, withClient } from "./connect.ts";
import { headroomFor } from "./headroom.ts";
import { findLeftovers } from "./leftovers.ts";
import { concurrentSession, maintain } from "./maintain.ts";
import { leftoverFailure } from "./reindex.ts";
import { missingRights } from "./rights.ts";
import { catalogueName, findTable, notOwned, outOfScope, schemaName, showBytes, type Table } from "./scope.ts";

const longestName = 63;

const input = z.strictObject({
  schema: schemaName,
  table: catalogueName,
  /** In this order. */
  columns: z
    .array(catalogueName)
    .min(1)
    .max(8)
    .refine((names) => new Set(names).size === names.length, { error: "must not name the same column twice" }),
  /** Only rows where this column is true or, where it is not boolean, is not null. */
  conditionColumn: catalogueName.optional(),
});

type Input = z.output<typeof input>;

/** The index that is built. Its name follows from the rest. */
export type CreateIndexPlan = {
  readonly schema: string;
  readonly table: string;
  readonly tableOid: number;
  readonly columns: readonly string[];
  readonly conditionColumn: string | null;
  readonly index: string;
};

export const createIndex: ChangeAction<Input, CreateIndexPlan> = {
  name: "postgres.create-index",
  summary: "Builds an index on columns of a table while others go on reading and writing it.",
  input,
  kind: "change",
  risk: "high",
  repeat: "once",
  plan,
  apply,
  probe,
};

async function plan(input: Input, context: ActionContext): Promise<Planned<CreateIndexPlan>> {
  return withClient(context, async (query, postgres): Promise<Planned<CreateIndexPlan>> => {
    const made = await prepare(query, postgres, input);
    if ("status" in made) return made;
    const { table, statement, same } = made;
    const plan = {
      schema: input.schema,
      table: input.table,
      tableOid: table.oid,
      columns: input.columns,
      conditionColumn: input.conditionColumn ?? null,
      index: nameOf(input),
    };
    if (same !== null) {
      context.log.info({ index: same }, "a valid index of these columns is there already");
      return { status: "planned", plan, effects: [] };
    }
    const left = await leftoverFailure(query, postgres, table);
    if (left) return left;
    const taken = await query(
      "SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
      [input.schema, plan.index],
    );
    if (taken.length > 0)
      return lasting(`There is something else of the name ${plan.index} in ${input.schema}. Rename that first.`);
    const headroom = await headroomFor(query, postgres, needOf(table));
    if (headroom.status === "failed") return headroom;
    return {
      status: "planned",
      plan,
      effects: [`${statement} (the table has ${showBytes(table.rowBytes)})`, ...headroom.notes],
    };
  });
}

async function apply(plan: CreateIndexPlan, context: ActionContext): Promise<Outcome> {
  let begun = false;
  const outcome = await withClient(
    context,
    async (query, postgres, session): Promise<Outcome> => {
      const made = await prepare(query, postgres, plan);
      if ("status" in made) return made;
      const { table, statement, same } = made;
      if (table.oid !== plan.tableOid)
        return lasting(`${table.quoted} is another table than the planned one. Plan anew.`);
      if (same !== null) return { status: "done", result: { index: same, built: false } };
      const refused = (await leftoverFailure(query, postgres, table)) ?? (await roomFailure(query, postgres, table));
      if (refused) return refused;
      begun = true;
      const failure = await maintain(session, statement, table.quoted);
      const built = await prepare(query, postgres, plan);
      const left = await findLeftovers(query, postgres, table.oid);
      begun = false;
      if (left.length > 0) {
        const names = left.map(({ quoted }) => quoted).join(", ");
        const why = failure?.reason ?? "The server reported no error.";
        return lasting(`${why} The build left an invalid index: ${names}. Drop it by postgres.drop-invalid-indexes.`);
      }
      if (failure) return failure;
      if ("status" in built) return built;
      if (built.same === null) return lasting(`${plan.index} is not there, though the server reported no error.`);
      return { status: "done", result: { index: built.same, built: true } };
    },
    concurrentSession,
  );
  if (!begun || outcome.status !== "failed") return outcome;
  return {
    status: "unknown",
    reason: `${outcome.reason} The build of ${plan.index} was begun; see postgres.invalid-indexes.`,
  };
}

/** Valid: applied. Not there, or left invalid by a build that has ended: not applied. Being built: it cannot be told yet. */
async function probe(plan: CreateIndexPlan, context: ActionContext): Promise<"applied" | "not-applied" | "unknown"> {
  const answer = await withClient(context, async (query, postgres): Promise<"applied" | "not-applied" | Failure> => {
    const made = await prepare(query, postgres, plan);
    if ("status" in made) return made;
    if (made.same !== null) return "applied";
    const left = await findLeftovers(query, postgres, made.table.oid);
    if (left.some(({ building }) => building)) return lasting("It is being built.");
    return "not-applied";
  });
  return typeof answer === "string" ? answer : "unknown";
}

type Wanted = Pick<CreateIndexPlan, "schema" | "table" | "columns"> & {
  readonly conditionColumn?: string | null | undefined;
};

interface Prepared {
  readonly table: Table;
  /** Made by the server, which quotes every name. */
  readonly statement: string;
  /** The valid index that is the same but for its name and whether it is unique; null where there is none. */
  readonly same: string | null;
}

/** Everything that is looked up in the catalogue; a miss is a Failure. */
async function prepare(query: Query, postgres: PostgresTarget, wanted: Wanted): Promise<Prepared | Failure> {
  const missing = (await missingRights(query, postgres, "see")) ?? (await outOfScope(query, postgres));
  if (missing) return missing;
  const table = await findTable(query, postgres, wanted);
  if ("status" in table) return table;
  if (!table.owned) return notOwned(table);
  if (table.kind === "p") return lasting(`${table.quoted} is partitioned. Name its partitions one by one.`);
  const columns = [...wanted.columns, ...(wanted.conditionColumn ? [wanted.conditionColumn] : [])];
  const known = await query<{ name: string; number: number; boolean: boolean }>(
    `SELECT attname::text AS name, attnum::int AS number, atttypid = 'boolean'::regtype AS boolean FROM pg_attribute
      WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attname::text = ANY($2::text[])`,
    [table.oid, columns],
  );
  const unknown = columns.find((column) => !known.some(({ name }) => name === column));
  if (unknown !== undefined) return lasting(`${table.quoted} has no column ${JSON.stringify(unknown)}.`);
  const numbers = wanted.columns.map((column) => known.find(({ name }) => name === column)?.number ?? 0);
  const condition = known.find(({ name }) => name === wanted.conditionColumn);
  const [made] = await query<{ statement: string; predicate: string | null }>(
    `WITH p AS (SELECT CASE WHEN $5::text IS NULL THEN NULL WHEN $6 THEN format('%I', $5::text)
                            ELSE format('(%I IS NOT NULL)', $5::text) END AS predicate)
     SELECT format('CREATE INDEX CONCURRENTLY %I ON %I.%I (%s)', $1::text, $2::text, $3::text,
                   (SELECT string_agg(format('%I', c), ', ' ORDER BY o) FROM unnest($4::text[]) WITH ORDINALITY u (c, o)))
              || coalesce(' WHERE ' || predicate, '') AS statement, predicate FROM p`,
    [nameOf(wanted), wanted.schema, wanted.table, wanted.columns, condition?.name ?? null, condition?.boolean ?? false],
  );
  if (!made) throw new Error("The statement that makes a statement returned no row.");
  const [same] = await query<{ index: string }>(
    `SELECT c.relname::text AS index FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
       JOIN pg_am m ON m.oid = c.relam
      WHERE i.indrelid = $1 AND i.indisvalid AND i.indisready AND m.amname = 'btree' AND i.indexprs IS NULL
        AND array_to_string(i.indkey::int2[], ',') = $2 AND i.indnkeyatts = i.indnatts AND 0 = ALL (i.indoption::int2[])
        AND pg_get_expr(i.indpred, i.indrelid) IS NOT DISTINCT FROM $3
        -- One that sorts otherwise, such as by text_pattern_ops or another collation, does not serve the same queries.
        AND NOT EXISTS (
          SELECT FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[]) k (number, class, collation_)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number JOIN pg_opclass o ON o.oid = k.class
           WHERE k.collation_ <> a.attcollation OR NOT EXISTS (
             SELECT FROM pg_opclass d WHERE d.opcdefault AND d.opcfamily = o.opcfamily AND d.opcintype = o.opcintype))
      ORDER BY c.relname LIMIT 1`,
    [table.oid, numbers.join(","), made.predicate],
  );
  return { table, statement: made.statement, same: same?.index ?? null };
}

async function roomFailure(query: Query, postgres: PostgresTarget, table: Table): Promise<Failure | null> {
  const room = await headroomFor(query, postgres, needOf(table));
  return room.status === "failed" ? room : null;
}

/** An index of some columns is smaller than its table. */
function needOf(table: Table) {
  return { bytes: table.rowBytes, relations: [table.oid], waitsForTransactions: true };
}

/** At most 63 bytes: what is longer is cut and told apart by a hash. */
function nameOf({ table, columns, conditionColumn }: Pick<Wanted, "table" | "columns" | "conditionColumn">): string {
  const condition = conditionColumn ? ["if", conditionColumn] : [];
  const name = [table, ...columns, ...condition, "idx"].join("_");
  if (Buffer.byteLength(name) <= longestName) return name;
  const hash = createHash("sha256")
    .update(JSON.stringify([table, columns, conditionColumn ?? null]))
    .digest("hex");
  let start = name;
  while (Buffer.byteLength(start) > longestName - 13) start = [...start].slice(0, -1).join("");
  return `${start}_${hash.slice(0, 8)}_idx`;
}
