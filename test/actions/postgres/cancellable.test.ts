import { Client } from "pg";
import { cancellable } from "../../../src/actions/postgres/cancellable.ts";
import { query, sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { createPatient, type Patient } from "./patient.ts";

let patient: Patient;
let superuser: Client;

beforeAll(async () => {
  const server = await sharedPostgres();
  patient = await createPatient(server);
  superuser = new Client({ connectionString: server.url });
  await superuser.connect();
}, 90_000);

afterAll(async () => {
  await patient.closeSessions();
  await superuser.end();
});

/** A session that may be cancelled; each test changes one thing about it. */
const session = {
  pid: 0 as number | null,
  backend_type: "client backend" as string | null,
  state: "active" as string | null,
  usename: "app" as string | null,
  datname: "shop" as string | null,
  leader_pid: null as number | null,
  application_name: "web" as string | null,
  query: "SELECT 1" as string | null,
  wait_event: null as string | null,
  rolsuper: false as boolean | null,
  rolreplication: false as boolean | null,
};

async function mayCancel(change: Partial<typeof session> = {}): Promise<boolean> {
  const row = { ...session, ...change };
  const { rows } = await superuser.query(
    `SELECT FROM json_to_record($3) AS a (pid int, backend_type text, state text, usename name, datname name,
                     leader_pid int, application_name text, query text, wait_event text),
                 json_to_record($3) AS r (rolsuper bool, rolreplication bool)
      WHERE ${cancellable}`,
    [["app"], ["shop"], JSON.stringify(row)],
  );
  return rows.length === 1;
}

test("an ordinary session may be cancelled", async () => {
  expect(await mayCancel()).toBe(true);
});

test.each<[string, Partial<typeof session>]>([
  ["a walsender", { backend_type: "walsender" }],
  ["an autovacuum worker", { backend_type: "autovacuum worker" }],
  ["a logical replication worker", { backend_type: "logical replication apply worker" }],
  ["a backend whose type cannot be seen", { backend_type: null }],
  ["an idle session", { state: "idle" }],
  ["an idle transaction", { state: "idle in transaction" }],
  ["a session whose state cannot be seen", { state: null }],
  ["another user", { usename: "billing" }],
  ["a user whose name only begins alike", { usename: "app2" }],
  ["a session without a user", { usename: null }],
  ["another database", { datname: "ledger" }],
  ["a session without a database", { datname: null }],
  ["a parallel worker", { leader_pid: 1 }],
  ["Paramedic", { application_name: "paramedic" }],
  ["another Paramedic", { application_name: "Paramedic-worker-2" }],
  ["pg_dump", { application_name: "pg_dump" }],
  ["pg_basebackup", { application_name: "pg_basebackup" }],
  ["pgBackRest", { application_name: "pgBackRest [backup]" }],
  ["Flyway", { application_name: "Flyway by Redgate" }],
  ["an application that cannot be seen", { application_name: null }],
  ["a superuser", { rolsuper: true }],
  ["a role of unknown power", { rolsuper: null }],
  ["a replication role", { rolreplication: true }],
  ["a commit that waits for its replica", { wait_event: "SyncRep" }],
  ["a query that cannot be seen", { query: null }],
  ["a query hidden for want of rights", { query: "<insufficient privilege>" }],
])("%s is left alone", async (_name, change) => {
  expect(await mayCancel(change)).toBe(false);
});

test.each([
  "select 1",
  "  \n\tSELECT 1",
  "(SELECT 1) UNION (SELECT 2)",
  "/* web:orders.py:12 */ UPDATE t SET a = 1",
  "-- a report\nWITH a AS (SELECT 1) SELECT * FROM a",
  "/**/--x\r\n/* ** / */ insert into t values (1)",
  "DELETE FROM t",
  "MERGE INTO t USING s ON true WHEN MATCHED THEN DO NOTHING",
  "FETCH 100 FROM c",
  "BEGIN; SELECT 1; COMMIT",
  "SELECT ';' || create_date FROM t",
  "SELECT 1 -- vacuum the floor",
])("a query of an application may be cancelled: %j", async (text) => {
  expect(await mayCancel({ query: text })).toBe(true);
});

test.each([
  "CREATE INDEX CONCURRENTLY i ON t (a)",
  "/* SELECT */ CREATE INDEX i ON t (a)",
  "-- SELECT\nALTER TABLE t ADD a int",
  "--SELECT 1",
  "/* a /* b */ SELECT */ VACUUM t",
  "/*/ SELECT 1 */ VACUUM",
  "/* SELECT 1",
  "REINDEX TABLE t",
  "vacuum (full) t",
  "CLUSTER t USING i",
  "REFRESH MATERIALIZED VIEW v",
  "ANALYZE",
  "COPY t TO STDOUT",
  "DROP TABLE t",
  "TRUNCATE t",
  "LOCK TABLE t",
  "CALL maintain()",
  "DO $$ BEGIN END $$",
  "COMMIT",
  "PREPARE TRANSACTION 'x'",
  "ROLLBACK PREPARED 'x'",
  "START_REPLICATION SLOT s LOGICAL 0/0",
  "SELECTED",
  "SELECT 1; VACUUM t",
  "SELECT 1;/* */reindex table t",
  "BEGIN;\nALTER TABLE t ADD a int",
  "SELECT pg_backup_start('nightly')",
  "",
])("a query of maintenance is left alone: %j", async (text) => {
  expect(await mayCancel({ query: text })).toBe(false);
});

// The server keeps 1,023 bytes, less those of a character that does not fit as a whole.
const long = (text: string, bytes: number) => text + "x".repeat(bytes - Buffer.byteLength(text));

test.each([
  ["one byte short of any cut", long("SELECT 1; SELECT 2 --", 1_019), true],
  ["as long as one cut before its last character", long("SELECT 1; SELECT 2 --", 1_020), false],
  ["as long as what the server keeps", long("SELECT 1; SELECT 2 --", 1_023), false],
  ["as long in bytes, but not in characters", long("SELECT 1; SELECT 'ééé' --", 1_023), false],
  ["of one statement, though cut", long("SELECT 1 --", 1_023), true],
])("a text %s", async (_what, text, may) => {
  expect(await mayCancel({ query: text })).toBe(may);
});

test("the session that asks is left alone", async () => {
  expect(await mayCancel({ pid: (superuser as unknown as { processID: number }).processID })).toBe(false);
});

test.each(["SHARE", "SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"])(
  "a session that holds the %s lock of maintenance is left alone, whatever it runs",
  async (mode) => {
    await superuser.query("CREATE TABLE IF NOT EXISTS locked (a int)");
    await superuser.query(`GRANT ALL ON locked TO ${patient.app}`);
    const holder = await patient.session();
    await holder.client.query("BEGIN");
    await holder.client.query("UPDATE locked SET a = 1");
    await holder.client.query("SELECT FROM locked FOR UPDATE");
    expect(await mayCancel({ pid: holder.pid })).toBe(true);
    await holder.client.query(`LOCK TABLE locked IN ${mode} MODE`);
    expect(await mayCancel({ pid: holder.pid })).toBe(false);
    await holder.client.query("ROLLBACK");
  },
);

test("a session whose maintenance reports progress is left alone, whatever its text says", async () => {
  const copier = await patient.session();
  copier.start("COPY (SELECT pg_sleep(600)) TO STDOUT");
  await until(
    async () =>
      (await query(patient.adminUrl, "SELECT FROM pg_stat_progress_copy WHERE pid = $1", [copier.pid])).length,
  );
  expect(await mayCancel({ pid: copier.pid })).toBe(false);
});

test("a session that reads a replication slot is left alone, whatever its text says", async () => {
  const streamer = await patient.session({
    connectionString: patient.urlOf("postgres"),
    replication: "true",
  } as Parameters<Patient["session"]>[0]);
  expect(await mayCancel({ pid: streamer.pid })).toBe(true);
  const { rows } = await superuser.query("SELECT pg_current_wal_flush_lsn() AS lsn");
  const slot = `reader_${streamer.pid}`;
  await streamer.client.query(`CREATE_REPLICATION_SLOT ${slot} TEMPORARY PHYSICAL RESERVE_WAL`);
  streamer.start(`START_REPLICATION SLOT ${slot} PHYSICAL ${rows[0].lsn}`);
  await until(
    async () =>
      (await query(patient.adminUrl, "SELECT FROM pg_replication_slots WHERE active_pid = $1", [streamer.pid])).length,
  );
  expect(await mayCancel({ pid: streamer.pid })).toBe(false);
});
