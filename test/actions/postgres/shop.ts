/** A database with tables to look at and to maintain, and a role of Paramedic's that may do so. */

import type {
  Action,
  ActionContext,
  ChangeAction,
  ObserveAction,
  Outcome,
  Planned,
} from "../../../src/domain/action.ts";
import type { Json } from "../../../src/domain/json.ts";
import type { PostgresTarget, Target } from "../../../src/domain/target.ts";
import { type Databases, query } from "../../support/postgres.ts";
import { contextFor } from "../context.ts";
import { createPatient, type Patient } from "./patient.ts";

export interface Shop extends Patient {
  /** The role with the rights of the application's, too. */
  readonly carer: string;
  /** The database's URL as superuser. */
  readonly url: string;
  /** Statements as superuser in the shop's own database. */
  sql(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Statements as the application. */
  asApp(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** The target with more said about its database. */
  targetWith(more: Partial<PostgresTarget>): Target;
}

/** Two tables of the application: `item`, with 20,000 rows and two indexes, and `sale`, which refers to it. */
export async function createShop(server: Databases, database = server.url): Promise<Shop> {
  const patient = await createPatient({ ...server, url: database });
  const carer = await patient.role("carer", `IN ROLE pg_read_all_stats, pg_signal_backend, ${patient.app}`);
  const sql: Shop["sql"] = (text, values = []) => query(database, text, values);
  const asApp: Shop["asApp"] = (text, values = []) => query(patient.urlOf(patient.app), text, values);
  await sql(`ALTER DATABASE ${patient.database} OWNER TO ${patient.app}`);
  await asApp(
    "CREATE TABLE item (id int PRIMARY KEY, kind text, price int, active boolean, note text) WITH (autovacuum_enabled = false)",
  );
  await asApp(
    "INSERT INTO item SELECT n, 'kind ' || n % 5000, n % 100, n % 2 = 0, repeat('x', 40) FROM generate_series(1, 20000) n",
  );
  await asApp("CREATE INDEX item_price ON item (price)");
  await asApp(
    "CREATE TABLE sale (id int PRIMARY KEY, item_id int REFERENCES item (id), at timestamptz) WITH (autovacuum_enabled = false)",
  );
  await asApp("INSERT INTO sale SELECT n, n, now() FROM generate_series(1, 200) n");
  await asApp("ANALYZE item, sale");
  const as = (target: Target): Target => {
    const postgres = target.postgres as PostgresTarget;
    return { ...target, postgres: { ...postgres, url: postgres.url.replace(patient.healer, carer) } };
  };
  const target = as(patient.target);
  return {
    ...patient,
    carer,
    url: database,
    sql,
    asApp,
    target,
    at: (port) => as(patient.at(port)),
    targetWith: (more) => ({ ...target, postgres: { ...(target.postgres as PostgresTarget), ...more } }),
  };
}

/** The input as the action's schema completes it. */
export function inputFor(action: Action, input: unknown): never {
  const parsed = action.input.safeParse(input);
  if (!parsed.success) throw new Error(JSON.stringify(parsed.error.issues));
  return parsed.data as never;
}

/** What an observation of a target says; throws where it fails. */
export async function seen<Input, Output>(
  action: ObserveAction<Input, Output>,
  input: unknown,
  target: Target,
): Promise<Output> {
  const observed = await action.observe(inputFor(action as Action, input), contextFor(target));
  if (observed.status !== "observed") throw new Error(observed.reason);
  return observed.output;
}

/** What a change of a target would do. */
export function planOf<Input, Plan extends Json>(
  action: ChangeAction<Input, Plan>,
  input: unknown,
  target: Target,
  context: ActionContext = contextFor(target),
): Promise<Planned<Plan>> {
  return action.plan(inputFor(action as Action, input), context);
}

/** Plans and applies; throws where nothing is planned. */
export async function carriedOut<Input, Plan extends Json>(
  action: ChangeAction<Input, Plan>,
  input: unknown,
  target: Target,
): Promise<Outcome> {
  const planned = await planOf(action, input, target);
  if (planned.status !== "planned") throw new Error(planned.reason);
  return action.apply(planned.plan, contextFor(target));
}
