import type { Connection } from "pg";
import { cancelQueries } from "../../src/actions/postgres/cancel-queries.ts";
import type { PostgresTarget } from "../../src/domain/target.ts";
import { contextFor } from "../actions/context.ts";
import { createPatient, type Patient, type Running, type Session } from "../actions/postgres/patient.ts";
import { query, startPostgres, type TestPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

let server: TestPostgres;
let patient: Patient;
/** What must be left alone: its pid by what it is. */
const untouchable = new Map<string, number>();
const running: Running[] = [];
let streamed = 0;

beforeAll(async () => {
  server = await startPostgres({
    settings: { autovacuum_naptime: "1s", autovacuum_vacuum_cost_delay: "100ms", autovacuum_vacuum_cost_limit: "1" },
  });
  patient = await createPatient(server);
  await startUntouchables();
}, 120_000);

afterAll(async () => {
  await patient.closeSessions();
  await server.stop();
}, 30_000);

/** Starts each kind of session for real. The application's role owns what it may own, so that only its kind protects it. */
async function startUntouchables(): Promise<void> {
  const owner = await patient.session();
  await owner.client.query(
    "CREATE TABLE item AS SELECT g AS id, repeat('x', 500) AS text FROM generate_series(1, 40000) g",
  );
  await startAutovacuum(owner);
  await startReplication();
  await startIndexBuild();

  await startSleeping("pg_dump", { application_name: "pg_dump" });
  await startSleeping("Paramedic's own session", { application_name: "paramedic" });
  await startSleeping("another database", { connectionString: patient.urlOf(patient.app, "postgres") });
  await startSleeping("a user who is not allowed", { connectionString: patient.urlOf(await patient.role("other")) });
  await startSleeping("a superuser", { connectionString: patient.urlOf(await superuser()) });
  await startSleeping("a replication role", { connectionString: patient.urlOf(await replicator()) });

  const copy = await patient.session();
  running.push(copy.start("COPY (SELECT pg_sleep(600)) TO STDOUT"));
  untouchable.set("a COPY, as of a backup", copy.pid);

  const vacuum = await patient.session();
  await vacuum.client.query("SET vacuum_cost_delay = '100ms'; SET vacuum_cost_limit = 1");
  await vacuum.client.query("CREATE TABLE dusty AS SELECT * FROM item; UPDATE dusty SET id = id + 1");
  running.push(vacuum.start("VACUUM (FREEZE, TRUNCATE false) dusty"));
  untouchable.set("VACUUM", vacuum.pid);

  const idle = await patient.session();
  await idle.client.query("BEGIN");
  await idle.client.query("SELECT pg_sleep(0)");
  untouchable.set("idle in transaction", idle.pid);

  const procedure = await patient.session();
  running.push(procedure.start("DO $$ BEGIN PERFORM pg_sleep(600); END $$"));
  untouchable.set("a DO block", procedure.pid);

  const migration = await patient.session();
  await migration.client.query("CREATE TABLE moved (id int)");
  await migration.client.query("BEGIN");
  await migration.client.query("CREATE INDEX ON moved (id)");
  running.push(migration.start("SELECT pg_sleep(600)"));
  untouchable.set("a query inside a migration", migration.pid);

  const backfill = await patient.session();
  await backfill.client.query("CREATE TABLE orders AS SELECT 1 AS id");
  await backfill.client.query("BEGIN");
  await backfill.client.query("ALTER TABLE orders ADD COLUMN total int");
  running.push(backfill.start("UPDATE orders SET total = 0 WHERE pg_sleep(600) IS NOT NULL"));
  untouchable.set("the backfill of a migration", backfill.pid);

  // Each text ends, as the server shows it, before the statement that says what it is.
  for (const filler of ["x", "€"]) {
    const cut = await patient.session();
    await cut.client.query(`CREATE TABLE cut_${cut.pid} (id int)`);
    const shown = `SELECT pg_sleep(600); /* ${filler.repeat(1_100)} */`;
    running.push(cut.start(`${shown} ALTER TABLE cut_${cut.pid} ADD COLUMN total int`));
    untouchable.set(`a migration whose text is cut, of ${filler}`, cut.pid);
  }
}

async function startSleeping(what: string, config: Parameters<Patient["session"]>[0]): Promise<void> {
  const session = await patient.session(config);
  running.push(session.start("SELECT pg_sleep(600)"));
  untouchable.set(what, session.pid);
}

/** A superuser and a replication role that the allow-list names all the same. */
async function superuser(): Promise<string> {
  return allowed(await patient.role("root", "SUPERUSER"));
}
async function replicator(): Promise<string> {
  return allowed(await patient.role("standby", "REPLICATION"));
}
function allowed(role: string): string {
  const { users } = patient.target.postgres as PostgresTarget;
  (users as string[]).push(role);
  return role;
}

async function startAutovacuum(owner: Session): Promise<void> {
  await owner.client.query(
    "ALTER TABLE item SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0)",
  );
  await owner.client.query("UPDATE item SET id = id + 1");
  const [worker] = await until(
    () =>
      rows("SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%public.item%'"),
    { timeoutMs: 60_000, what: "autovacuum to work on the table" },
  );
  untouchable.set("autovacuum", worker?.["pid"] as number);
}

async function startReplication(): Promise<void> {
  const role = allowed(await patient.role("streamer", "REPLICATION"));
  await patient.admin("SELECT pg_create_physical_replication_slot('standby', true)");
  const session = await patient.session({
    connectionString: patient.urlOf(role),
    replication: "true",
  } as Parameters<Patient["session"]>[0]);
  const { connection } = session.client as unknown as { connection: Connection };
  connection.on("copyData", () => {
    streamed++;
  });
  const [start] = (await rows("SELECT pg_current_wal_flush_lsn() AS lsn")) ?? [];
  running.push(session.start(`START_REPLICATION SLOT standby PHYSICAL ${start?.["lsn"]}`));
  untouchable.set("a walsender", session.pid);
}

/** A build that waits for an older transaction, as it does on a busy database. */
async function startIndexBuild(): Promise<void> {
  const older = await patient.session();
  const table = await patient.session();
  await table.client.query("CREATE TABLE wide (id int)");
  await older.client.query("BEGIN");
  await older.client.query("INSERT INTO wide VALUES (1)");
  running.push(table.start("/* SELECT */ CREATE INDEX CONCURRENTLY wide_id ON wide (id)"));
  untouchable.set("CREATE INDEX CONCURRENTLY", table.pid);
}

async function rows(sql: string): Promise<Record<string, unknown>[] | null> {
  const found = await query(server.adminUrl, sql);
  return found.length > 0 ? found : null;
}

test("none of them is ever planned, an ordinary query beside them is, and replication keeps streaming", async () => {
  const ordinary = await patient.session({ application_name: "web" });
  const slow = ordinary.start("SELECT pg_sleep(600)");
  const pids = [...untouchable.values()];
  const old = `SELECT FROM pg_stat_activity WHERE pid = ANY('{${pids.join(",")}}') AND now() - coalesce(query_start, now()) > '2 s'`;
  await until(async () => (await query(server.adminUrl, old)).length === pids.length, {
    timeoutMs: 30_000,
    what: "every session to be older than the limit",
  });

  const context = contextFor(patient.target);
  const planned = await until(async () => {
    const result = await cancelQueries.plan({ olderThanSeconds: 1, atMost: 1_000 }, context);
    return result.status === "planned" && result.plan.queries.length > 0 && result;
  });
  const names = new Map([...untouchable].map(([name, pid]) => [pid, name]));
  expect(planned.plan.queries.map(({ pid }) => names.get(pid) ?? pid)).toEqual([ordinary.pid]);

  expect(await cancelQueries.apply(planned.plan, context)).toMatchObject({
    status: "done",
    result: { cancelled: [ordinary.pid] },
  });
  await until(() => slow.state === "57014");
  expect(running.map(({ state }) => state)).toEqual(running.map(() => "running"));

  const before = streamed;
  await patient.admin("SELECT pg_switch_wal()");
  await until(() => streamed > before, { what: "the walsender to go on" });
  const walsender = untouchable.get("a walsender");
  expect(await rows(`SELECT FROM pg_stat_replication WHERE pid = ${walsender} AND state = 'streaming'`)).toHaveLength(
    1,
  );
}, 60_000);

test("none of them is cancelled where a plan names them all the same", async () => {
  const exact = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
  const queries = await query(
    server.adminUrl,
    `SELECT pid, ${exact("backend_start")} AS "backendStart", ${exact("query_start")} AS "queryStart"
       FROM pg_stat_activity WHERE pid = ANY($1) ORDER BY pid`,
    [[...untouchable.values()]],
  );
  expect(queries.length).toBe(untouchable.size);
  const outcome = await cancelQueries.apply({ queries } as never, contextFor(patient.target));
  expect(outcome).toMatchObject({ status: "done", result: { cancelled: [], gone: queries.map(({ pid }) => pid) } });
  expect(running.map(({ state }) => state)).toEqual(running.map(() => "running"));
});
