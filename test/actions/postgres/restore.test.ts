import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { backup } from "../../../src/actions/postgres/backup.ts";
import { runClient } from "../../../src/actions/postgres/client-program.ts";
import { readOnly } from "../../../src/actions/postgres/read-only.ts";
import { restore } from "../../../src/actions/postgres/restore.ts";
import type { PostgresTarget, Target } from "../../../src/domain/target.ts";
import { query } from "../../support/postgres.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { startStatementProxy } from "../../support/statement-proxy.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { type DebianServer, debianBinDir, debianPostgres, startDebianPostgres } from "./debian-postgres.ts";
import { type Trap, trapIn } from "./held.ts";
import { carriedOut, createShop, planOf, type Shop } from "./shop.ts";

let server: DebianServer;
let shop: Shop;
let folder: string;
let name: string;
let trap: Trap;

debianPostgres.describe("postgres.restore", () => {
  beforeAll(async () => {
    server = await startDebianPostgres();
    shop = await createShop(server);
    folder = await temporaryFolder("backups");
    await shop.admin(`ALTER ROLE ${shop.carer} CREATEDB`);
    await shop.admin(`ALTER DATABASE ${shop.database} SET search_path = public, "odd schema"`);
    await shop.admin(`REVOKE CONNECT ON DATABASE ${shop.database} FROM PUBLIC`);
    trap = trapIn(shop);
    await trap.install("sale", "id");
    await carriedOut(backup, {}, target());
    name = `${shop.database}-0001`;
    input.backup = name;
  }, 90_000);

  afterEach(() => shop.closeSessions());
  afterAll(() => server?.stop());

  const input = { backup: "none" };
  const more = () => ({ backupFolder: folder, binDir: debianBinDir, minFreeMiB: 0 });
  const target = () => shop.targetWith(more());
  const databases = () => shop.admin("SELECT datname, oid FROM pg_database WHERE datname LIKE 'test%' ORDER BY oid");
  const sales = () => shop.asApp("SELECT count(*)::int AS n FROM sale");

  describeContract("postgres.restore", {
    input,
    hostile: [
      null,
      {},
      { backup: "" },
      { backup: "../../etc/passwd" },
      { backup: "-h" },
      { backup: "a b" },
      { backup: "a;id" },
      { backup: "$(id)" },
      { backup: "x", database: "other" },
      { backup: "x", swap: "yes" },
    ],
    healthy: () => ({ action: restore, target: target() }),
    at: (port) => ({
      action: restore,
      target: { ...shop.at(port), postgres: { ...shop.at(port).postgres, ...more() } as never },
    }),
    arrange: async () => {},
    state: databases,
    midway: {
      hold: () => trap.spring(),
      // The new database is still there, unfinished, and is made anew.
      told: { status: "failed", retryable: true, reason: expect.stringMatching(/_restore_[0-9a-f]+ is still there/) },
      probed: "not-applied",
    },
  });

  test("what was lost is there again, the old database is kept and closed, and its sessions are ended", async () => {
    await shop.asApp("DELETE FROM sale");
    const pooled = await shop.session();
    const planned = await planOf(restore, { backup: name }, target());
    if (planned.status !== "planned") throw new Error(planned.reason);
    expect(planned.effects.join("\n")).toContain(`rename it to ${planned.plan.kept}`);
    expect(await restore.probe?.(planned.plan, contextFor(target()))).toBe("not-applied");
    expect(await restore.apply(planned.plan, contextFor(target()))).toEqual({
      status: "done",
      result: { database: shop.database, kept: planned.plan.kept, tables: 2, leftOut: [], swapped: true },
    });
    await expect(pooled.client.query("SELECT 1")).rejects.toThrow();
    expect(await sales()).toEqual([{ n: 200 }]);
    expect(await restore.probe?.(planned.plan, contextFor(target()))).toBe("applied");
    expect(await shop.admin("SELECT datallowconn FROM pg_database WHERE datname = $1", [planned.plan.kept])).toEqual([
      { datallowconn: false },
    ]);
    await shop.admin(`ALTER DATABASE ${planned.plan.kept} ALLOW_CONNECTIONS true`);
    const kept = shop.url.replace(shop.database, planned.plan.kept);
    expect(await query(kept, "SELECT count(*)::int AS n FROM sale")).toEqual([{ n: 0 }]);
    // What belongs to the database itself and not to what is in it has come along.
    expect(await shop.sql("SHOW search_path")).toEqual([{ search_path: 'public, "odd schema"' }]);
    expect(await shop.admin("SELECT has_database_privilege('public', $1, 'CONNECT') AS open", [shop.database])).toEqual(
      [{ open: false }],
    );
    expect(await shop.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'item'")).toEqual([
      { tableowner: shop.app },
    ]);
  });

  test("settings of roles, the limit of connections and the tablespace come along; what may not be made is said", async () => {
    const other = await shop.role("other");
    await shop.admin(`ALTER ROLE ${shop.app} IN DATABASE ${shop.database} SET work_mem = '7MB'`);
    await shop.admin(`ALTER ROLE ${shop.app} IN DATABASE ${shop.database} SET search_path = "odd schema", public`);
    await shop.admin(`ALTER ROLE ${shop.app} IN DATABASE ${shop.database} SET log_min_duration_statement = '5s'`);
    await shop.admin(`ALTER ROLE ${other} IN DATABASE ${shop.database} SET work_mem = '9MB'`);
    await shop.admin(`ALTER DATABASE ${shop.database} CONNECTION LIMIT 55`);
    await query(`${server.adminUrl}?options=-c%20allow_in_place_tablespaces=on`, "CREATE TABLESPACE quick LOCATION ''");
    await shop.admin(`ALTER DATABASE ${shop.database} SET TABLESPACE quick`);
    const planned = await planOf(restore, { backup: name }, target());
    if (planned.status !== "planned") throw new Error(planned.reason);
    expect(planned.effects).toEqual(
      expect.arrayContaining([
        expect.stringMatching(`^leave out the setting log_min_duration_statement of the role ${shop.app} in`),
        expect.stringMatching(`^leave out the setting work_mem of the role ${other} in`),
        expect.stringContaining("may not create in quick"),
      ]),
    );
    expect(planned.effects.filter((line) => line.startsWith("leave out"))).toHaveLength(2);
    await shop.admin(`GRANT CREATE ON TABLESPACE quick TO ${shop.carer}`);
    expect(await carriedOut(restore, { backup: name }, target())).toMatchObject({ status: "done" });
    expect(await shop.asApp("SELECT current_setting('work_mem') AS m, current_setting('search_path') AS p")).toEqual([
      { m: "7MB", p: '"odd schema", public' },
    ]);
    const found = await shop.admin(
      `SELECT datconnlimit, spcname FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = $1`,
      [shop.database],
    );
    expect(found).toEqual([{ datconnlimit: 55, spcname: "quick" }]);
  });

  test("a database that is read-only for a time still is when it is restored, and that can be put back", async () => {
    const planned = await planOf(readOnly, { graceSeconds: 0 }, target());
    if (planned.status !== "planned") throw new Error(planned.reason);
    await readOnly.apply(planned.plan, contextFor(target()));
    expect(await carriedOut(restore, { backup: name }, target())).toMatchObject({
      status: "done",
      result: { swapped: true },
    });
    const write = () => shop.asApp("DELETE FROM sale WHERE false");
    await expect(write()).rejects.toThrow("read-only");
    expect(await readOnly.revert?.(planned.plan, contextFor(target()))).toMatchObject({ status: "done" });
    await expect(write()).resolves.toEqual([]);
  });

  test("an extension that only a superuser may create is left out, and said; one that its owner may create comes along", async () => {
    await shop.sql("CREATE EXTENSION pg_stat_statements");
    await shop.sql("CREATE EXTENSION citext");
    const made = await carriedOut(backup, {}, target());
    const taken = made.status === "done" ? (made.result as { backup: string }).backup : "";
    const planned = await planOf(restore, { backup: taken, swap: false }, target());
    expect(planned).toMatchObject({
      effects: expect.arrayContaining([expect.stringMatching(/leave out .* pg_stat_statements/)]),
    });
    const outcome = await carriedOut(restore, { backup: taken }, target());
    expect(outcome).toMatchObject({ status: "done", result: { leftOut: ["pg_stat_statements"], swapped: true } });
    expect(await shop.sql("SELECT extname FROM pg_extension ORDER BY 1")).toEqual([
      { extname: "citext" },
      { extname: "plpgsql" },
    ]);
    expect(await sales()).toEqual([{ n: 200 }]);
  });

  test("in two steps: made and checked first, while the old one works on, and swapped by a plan of its own", async () => {
    await shop.asApp("DELETE FROM sale");
    const first = await planOf(restore, { backup: name, swap: false }, target());
    if (first.status !== "planned") throw new Error(first.reason);
    expect(await restore.apply(first.plan, contextFor(target()))).toMatchObject({
      status: "done",
      result: { database: first.plan.staging, swapped: false },
    });
    expect(await restore.probe?.(first.plan, contextFor(target()))).toBe("applied");
    expect(await sales()).toEqual([{ n: 0 }]);
    expect(await planOf(restore, { backup: name, swap: false }, target())).toMatchObject({ effects: [] });
    const second = await planOf(restore, { backup: name }, target());
    expect(second).toMatchObject({
      effects: expect.arrayContaining([expect.stringContaining("restored and checked before")]),
    });
    if (second.status !== "planned") throw new Error(second.reason);
    expect(await restore.apply(second.plan, contextFor(target()))).toMatchObject({
      status: "done",
      result: { swapped: true },
    });
    expect(await sales()).toEqual([{ n: 200 }]);
  });

  test("the old database is closed together with the renames, so that no crash leaves it open to writers", async () => {
    const proxy = await startStatementProxy(server.port);
    const through = { ...shop.at(proxy.port), postgres: { ...shop.at(proxy.port).postgres, ...more() } } as Target;
    try {
      expect(await carriedOut(restore, { backup: name }, through)).toMatchObject({ status: "done" });
      const { statements } = proxy;
      const close = statements.findIndex((text) => text.endsWith("ALLOW_CONNECTIONS false"));
      expect(close).toBeGreaterThan(0);
      const began = statements.lastIndexOf("BEGIN", close);
      const together = statements.slice(began, statements.indexOf("COMMIT", close) + 1);
      expect(together.filter((text) => text.includes("RENAME TO"))).toHaveLength(2);
      expect(together).toContain(statements[close]);
      expect(together.filter((text) => text === "BEGIN" || text === "COMMIT")).toEqual(["BEGIN", "COMMIT"]);
    } finally {
      await proxy.stop();
    }
  });

  test("a session of somebody who is not allowed is not ended: nothing is swapped, and that is said", async () => {
    const session = await shop.session({ connectionString: shop.url });
    const pooled = await shop.session();
    const before = await shop.admin("SELECT oid FROM pg_database WHERE datname = $1", [shop.database]);
    const outcome = await carriedOut(restore, { backup: name }, target());
    expect(outcome).toMatchObject({ status: "failed", reason: expect.stringContaining("Nothing was changed") });
    expect(await shop.admin("SELECT oid FROM pg_database WHERE datname = $1", [shop.database])).toEqual(before);
    for (const { client } of [session, pooled]) {
      expect((await client.query("SELECT 1 AS n")).rows).toEqual([{ n: 1 }]);
    }
  });

  test("an unfinished restore of before is dropped and made again; a database of somebody else is not", async () => {
    const planned = await planOf(restore, { backup: name, swap: false }, target());
    if (planned.status !== "planned") throw new Error(planned.reason);
    const { staging } = planned.plan;
    await shop.admin(`COMMENT ON DATABASE ${staging} IS 'paramedic: being restored'`);
    expect(await carriedOut(restore, { backup: name, swap: false }, target())).toMatchObject({ status: "done" });
    await shop.admin(`COMMENT ON DATABASE ${staging} IS 'mine'`);
    expect(await planOf(restore, { backup: name, swap: false }, target())).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("not of this restore"),
    });
    await shop.admin(`DROP DATABASE ${staging}`);
  });

  describe("after a kill", () => {
    const inStaging = (staging: string, user: string) =>
      shop.session({ connectionString: shop.urlOf(user, staging), application_name: "paramedic" });
    const unfinished = async () => {
      const planned = await planOf(restore, { backup: name, swap: false }, target());
      if (planned.status !== "planned") throw new Error(planned.reason);
      const { staging } = planned.plan;
      await shop.admin(`CREATE DATABASE ${staging} OWNER ${shop.app}`);
      await shop.admin(`COMMENT ON DATABASE ${staging} IS 'paramedic: being restored'`);
      return { staging, plan: planned.plan };
    };

    test("the server ends what it did for a pg_restore that was killed", async () => {
      const folderOf = await temporaryFolder("bin");
      const pidFile = join(folderOf, "pid");
      writeFileSync(
        join(folderOf, "pg_restore"),
        `#!/bin/sh\necho $$ > ${pidFile}\nexec ${debianBinDir}/pg_restore "$@"\n`,
      );
      chmodSync(join(folderOf, "pg_restore"), 0o755);
      await shop.asApp(
        `CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
           'BEGIN IF current_database() LIKE ''%_restore_%'' THEN PERFORM pg_sleep(600); END IF; RETURN n; END'`,
      );
      await shop.asApp("CREATE TABLE one AS SELECT 1 AS n");
      await shop.asApp("CREATE INDEX one_slow ON one (slow(n))");
      const made = await carriedOut(backup, {}, target());
      const taken = made.status === "done" ? (made.result as { backup: string }).backup : "";
      await shop.asApp("DROP TABLE one");
      await shop.asApp("DROP FUNCTION slow");
      const { staging } = await unfinished();
      const slow = target().postgres as PostgresTarget;
      const working = () =>
        shop.admin("SELECT pid FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep'", [staging]);
      const running = runClient(
        { ...slow, binDir: folderOf },
        "pg_restore",
        ["--no-password", `--dbname=${staging}`, join(folder, `${taken}.dump`)],
        { database: staging, signal: new AbortController().signal },
      );
      await until(async () => (await working()).length > 0);
      process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL");
      expect(await running).toMatchObject({ status: "failed", reason: expect.stringContaining("ended by SIGKILL") });
      await until(async () => (await working()).length === 0, { timeoutMs: 5_000, what: "the backend to end" });
      await shop.admin(`DROP DATABASE ${staging}`);
    });

    test("a session of Paramedic's own that still works in the unfinished database is ended, and the restore goes on", async () => {
      const { staging, plan } = await unfinished();
      const orphan = await inStaging(staging, shop.carer);
      orphan.start("SELECT pg_sleep(600)");
      expect(await restore.apply(plan, contextFor(target()))).toMatchObject({ status: "done" });
      await shop.admin(`DROP DATABASE ${staging}`);
    });

    test("a session of somebody else in it is not ended: it may pass, and is said", async () => {
      const { staging, plan } = await unfinished();
      const other = await inStaging(staging, shop.app);
      expect(await restore.apply(plan, contextFor(target()))).toMatchObject({
        status: "failed",
        retryable: true,
        reason: expect.stringContaining(`(pid ${other.pid})`),
      });
      expect((await other.client.query("SELECT 1 AS n")).rows).toEqual([{ n: 1 }]);
      await other.client.end();
      expect(await restore.apply(plan, contextFor(target()))).toMatchObject({ status: "done" });
      await shop.admin(`DROP DATABASE ${staging}`);
    }, 30_000);
  });

  test("a backup that is not there, damaged, or of another database is refused", async () => {
    const refusal = (words: string) => ({ status: "failed", retryable: false, reason: expect.stringContaining(words) });
    expect(await planOf(restore, { backup: "nothing-0001" }, target())).toMatchObject(
      refusal("There is no whole backup"),
    );
    const bytes = 7;
    const manifest = {
      database: shop.database,
      takenAt: "x",
      serverVersion: 1,
      bytes,
      sha256: "0".repeat(64),
      tables: 1,
    };
    writeFileSync(join(folder, "damaged.dump"), "x".repeat(bytes));
    writeFileSync(join(folder, "damaged.json"), JSON.stringify(manifest));
    expect(await planOf(restore, { backup: "damaged" }, target())).toMatchObject(refusal("is not as it was written"));
    writeFileSync(join(folder, "damaged.json"), JSON.stringify({ ...manifest, database: "another" }));
    expect(await planOf(restore, { backup: "damaged" }, target())).toMatchObject(refusal("of the database another"));
    await shop.admin(`ALTER ROLE ${shop.carer} NOCREATEDB`);
    expect(await planOf(restore, { backup: name }, target())).toMatchObject(refusal("CREATEDB"));
    await shop.admin(`ALTER ROLE ${shop.carer} CREATEDB`);
  });
});
