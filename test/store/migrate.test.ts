import pg from "pg";
import { migrate, migrateWhenReachable } from "../../src/store/migrate.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

describe("migrate", () => {
  const fresh = async () => (await sharedPostgres()).newDatabase();

  test("applies every migration once and says which", async () => {
    const url = await fresh();
    expect(await migrate(url)).toContain("001-core.sql");
    expect(await migrate(url)).toEqual([]);
    expect(await query(url, "SELECT name, paused FROM paramedic.switches")).toEqual([
      { name: "automation", paused: false },
    ]);
  });

  test("may be called by many processes at once: one works and the others find it done", async () => {
    const url = await fresh();
    const applied = await Promise.all(Array.from({ length: 6 }, () => migrate(url)));
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
    const rows = await query(
      url,
      "SELECT count(*)::int AS count FROM paramedic.migrations WHERE name = '001-core.sql'",
    );
    expect(rows).toEqual([{ count: 1 }]);
  });

  test("waits for another process that is migrating", async () => {
    const url = await fresh();
    await migrate(url);
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    try {
      await other.query("SELECT pg_advisory_lock($1)", [0x50415241]);
      let done = false;
      const migrating = migrate(url).then(() => {
        done = true;
      });
      const waiting =
        "SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name = 'paramedic migrate' AND wait_event_type = 'Lock' AND datname = current_database()";
      while ((await query(url, waiting))[0]?.["count"] !== 1) expect(done).toBe(false);
      await other.query("SELECT pg_advisory_unlock_all()");
      await migrating;
    } finally {
      await other.end();
    }
  });

  test("refuses a database that a newer version has migrated, and touches nothing", async () => {
    const url = await fresh();
    await migrate(url);
    await query(url, "INSERT INTO paramedic.migrations (name) VALUES ('999-from-the-future.sql')");
    await query(url, "DELETE FROM paramedic.migrations WHERE name = '001-core.sql'");
    await expect(migrate(url)).rejects.toThrow(/newer Paramedic \(999-from-the-future\.sql\); start that version/);
    expect(await query(url, "SELECT name FROM paramedic.migrations WHERE name LIKE '001%'")).toEqual([]);
  });

  test("leaves nothing behind of a migration that fails", async () => {
    const url = await fresh();
    await query(url, "CREATE SCHEMA paramedic");
    await query(url, "CREATE TABLE paramedic.runs (mine int)");
    await expect(migrate(url)).rejects.toThrow(/migration 001-core\.sql failed: .*already exists/);
    expect(await query(url, "SELECT to_regclass('paramedic.episodes') AS found")).toEqual([{ found: null }]);
  });

  test("says when the database cannot be reached", async () => {
    await expect(migrate("postgres://postgres@127.0.0.1:1/none")).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe("migrating at a start", () => {
  const fresh = async () => (await sharedPostgres()).newDatabase();
  const logging = () => {
    const reasons: string[] = [];
    return { reasons, warn: ({ reason }: { reason?: string }) => void reasons.push(reason ?? "") };
  };

  test("waits for a Postgres that has no connection left", async () => {
    const url = await fresh();
    const role = `late_${process.pid}`;
    await query(url, `CREATE ROLE ${role} LOGIN CONNECTION LIMIT 0`);
    const database = new URL(url);
    await query(url, `GRANT CREATE ON DATABASE ${database.pathname.slice(1)} TO ${role}`);
    database.username = role;
    const log = logging();
    const migrating = migrateWhenReachable(database.toString(), log);
    await until(() => log.reasons.length > 0);
    await query(url, `ALTER ROLE ${role} CONNECTION LIMIT -1`);
    expect(await migrating).toContain("001-core.sql");
    expect(log.reasons[0]).toMatch(/too many connections for role/);
    await query(url, `DROP OWNED BY ${role} CASCADE`);
    await query(url, `DROP ROLE ${role}`);
  });

  test("does not try a migration again that has no time", async () => {
    const url = await fresh();
    await query(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET statement_timeout = '500ms'`);
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    try {
      await other.query("CREATE SCHEMA paramedic");
      await other.query("BEGIN");
      await other.query("CREATE TABLE paramedic.runs (mine int)");
      const log = logging();
      await expect(migrateWhenReachable(url, log)).rejects.toThrow(/001-core\.sql failed: .*statement timeout/);
      expect(log.reasons).toEqual([]);
    } finally {
      await other.end();
    }
  });
});
