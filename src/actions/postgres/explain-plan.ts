/** Asks the server how it would run a statement that it knows, without running it, and reads the plan that it answers. */

import type { PostgresTarget } from "../../domain/target.ts";
import type { Attempt, Query, Session } from "./connect.ts";
import { showQuery } from "./query-text.ts";
import { allowedSchemas } from "./scope.ts";
import type { Statement } from "./statements.ts";

const mostNodes = 200;
const planned =
  /^(\s|\(|--[^\n\r]*[\n\r]|\/\*([^*/]|\*(?!\/)|\/(?!\*))*\*\/)*(select|with|insert|update|delete|merge|values|table)\b/i;

/** One node of a plan, in the order in which EXPLAIN prints them. */
export interface PlanNode {
  /** 0 is the whole statement. */
  readonly depth: number;
  /** As the server names it: "Seq Scan". */
  readonly node: string;
  /** Empty where the node reads no table or index. */
  readonly schema: string;
  readonly table: string;
  readonly alias: string;
  readonly index: string;
  /** What the server expects, in its own units of cost. */
  readonly totalCost: number;
  readonly rows: number;
  /** What is filtered out after reading, and what an index is searched for; as SQL, with literals. */
  readonly filter: string;
  readonly indexCondition: string;
}

export type Explained =
  | { readonly ok: true; readonly nodes: readonly PlanNode[] }
  | { readonly ok: false; readonly reason: string };

/**
 * The generic plan: the one for no parameters in particular. Nothing is executed: the transaction only reads, its
 * statements come alone, and where Paramedic's role may become the author of the statement it has no more rights than
 * that while the server plans.
 */
export async function explainStatement(
  query: Query,
  session: Session,
  postgres: PostgresTarget,
  statement: Pick<Statement, "text" | "userId">,
): Promise<Explained> {
  if (!planned.test(statement.text)) return { ok: false, reason: "It is not of a kind that has a plan." };
  await query("BEGIN READ ONLY");
  try {
    // Names without a schema mean those of the allowed ones, in this order.
    await query(
      `SELECT set_config('search_path', (SELECT string_agg(format('%I', s), ', ' ORDER BY o)
                FROM unnest($1::text[]) WITH ORDINALITY AS p (s, o)), true)`,
      [allowedSchemas(postgres)],
    );
    await query(
      `SELECT set_config('role', r.rolname::text, true) FROM pg_roles r
        WHERE r.oid = $1 AND r.rolname <> current_user AND NOT r.rolsuper
          AND pg_has_role(r.oid, CASE WHEN current_setting('server_version_num')::int >= 160000
                                      THEN 'SET' ELSE 'MEMBER' END)`,
      [statement.userId],
    );
    return await explain(session, statement.text);
  } finally {
    await query("ROLLBACK");
    await query("DEALLOCATE ALL");
  }
}

async function explain(session: Session, text: string): Promise<Explained> {
  const answer = await genericPlan(session, text);
  if (!answer.ok) return { ok: false, reason: reasonOf(answer.sqlState) };
  const nodes: PlanNode[] = [];
  const [tree] = (answer.rows[0]?.["QUERY PLAN"] ?? []) as readonly { readonly Plan?: RawNode }[];
  if (tree?.Plan) collect(tree.Plan, 0, nodes);
  return { ok: true, nodes };
}

interface Answer {
  readonly "QUERY PLAN": unknown;
}

/** By PREPARE, which takes placeholders and one statement only; GENERIC_PLAN, which PostgreSQL 16 brought, takes more. */
async function genericPlan(session: Session, text: string): Promise<Attempt<Answer>> {
  const prepared = await session.attempt(`PREPARE paramedic_explain AS ${text}`);
  if (!prepared.ok) return prepared;
  const described = await session.attempt<{ parameters: number }>(
    `SELECT cardinality(parameter_types) AS parameters, set_config('plan_cache_mode', 'force_generic_plan', true)
       FROM pg_prepared_statements WHERE name = 'paramedic_explain'`,
  );
  const count = described.ok ? (described.rows[0]?.parameters ?? 0) : 0;
  const nulls = count === 0 ? "" : `(${Array.from({ length: count }, () => "NULL").join(", ")})`;
  return session.attempt<Answer>(`EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE paramedic_explain${nulls}`);
}

interface RawNode {
  readonly "Node Type"?: string;
  readonly Schema?: string;
  readonly "Relation Name"?: string;
  readonly Alias?: string;
  readonly "Index Name"?: string;
  readonly "Total Cost"?: number;
  readonly "Plan Rows"?: number;
  readonly Filter?: string;
  readonly "Index Cond"?: string;
  readonly Plans?: readonly RawNode[];
}

function collect(raw: RawNode, depth: number, nodes: PlanNode[]): void {
  if (nodes.length >= mostNodes) return;
  nodes.push({
    depth,
    node: raw["Node Type"] ?? "",
    schema: raw.Schema ?? "",
    table: raw["Relation Name"] ?? "",
    alias: raw.Alias ?? "",
    index: raw["Index Name"] ?? "",
    totalCost: raw["Total Cost"] ?? 0,
    rows: raw["Plan Rows"] ?? 0,
    filter: raw.Filter ?? "",
    indexCondition: raw["Index Cond"] ?? "",
  });
  for (const below of raw.Plans ?? []) collect(below, depth + 1, nodes);
}

function reasonOf(sqlState: string): string {
  switch (sqlState) {
    case "42501":
      return "Paramedic's role may not read its tables: give it pg_read_all_data, or the rights of the role that runs it.";
    case "42P01":
    case "3F000":
      return "One of its tables is in none of the allowed schemas (postgres.schemas), or is gone.";
    case "42601":
    case "42P18":
    case "42P02":
      return "With placeholders in place of its constants it is no statement that can be planned.";
    case "57014":
    case "55P03":
      return "Planning it took too long, or a table is locked.";
    default:
      return `The server does not plan it (SQLSTATE ${sqlState}).`;
  }
}

/** A condition of a plan for people: on one line, without literals. */
export function showCondition(condition: string): string {
  return condition === "" ? "" : showQuery(condition);
}
