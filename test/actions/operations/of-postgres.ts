/** One operation for each change of Postgres, each in a database of its own on one server. */

import { readdir } from "node:fs/promises";
import { backup } from "../../../src/actions/postgres/backup.ts";
import type { PostgresTarget } from "../../../src/domain/target.ts";
import { query } from "../../support/postgres.ts";
import { temporaryFolder } from "../../support/run-folder.ts";
import { until } from "../../support/until.ts";
import { type DebianServer, debianBinDir } from "../postgres/debian-postgres.ts";
import type { Session } from "../postgres/patient.ts";
import { carriedOut, createShop } from "../postgres/shop.ts";
import type { Make, Operation } from "./operation.ts";

/** A copy of the shop under another name. */
interface Branch {
  readonly database: string;
  readonly postgres: PostgresTarget;
  sql(text: string): Promise<Record<string, unknown>[]>;
  /** One number of one row. */
  count(text: string): Promise<number>;
  asApp(text: string): Promise<Record<string, unknown>[]>;
  session(): Promise<Session>;
  operation(more: Pick<Operation, "with" | "whole" | "effects"> & Partial<Operation>): Operation;
}

export async function postgresOperations(server: DebianServer) {
  const shop = await createShop(server);
  await shop.admin(`ALTER ROLE ${shop.carer} CREATEDB`);

  async function branch(name: string): Promise<Branch> {
    const database = `${name}_${shop.database}`;
    const copy = `CREATE DATABASE ${database} TEMPLATE ${shop.database} OWNER ${shop.app}`;
    // Autovacuum may be in the original for a moment.
    await until(() => shop.admin(copy).then(() => true), { timeoutMs: 20_000, what: "the shop to be copied" });
    const url = shop.url.replace(shop.database, database);
    const appUrl = shop.urlOf(shop.app, database);
    const backupFolder = await temporaryFolder("backups");
    const { postgres } = shop.targetWith({
      url: shop.urlOf(shop.carer, database),
      databases: [database],
      backupFolder,
      binDir: debianBinDir,
      minFreeMiB: 0,
    });
    const variable = `URL_OF_${database.toUpperCase()}`;
    const configured = postgres as PostgresTarget;
    return {
      database,
      postgres: configured,
      sql: (text) => query(url, text),
      count: async (text) => Number(Object.values((await query(url, text))[0] ?? {})[0]),
      asApp: (text) => query(appUrl, text),
      session: () => shop.session({ connectionString: appUrl }),
      operation: (more) => ({
        target: { postgres: { ...configured, url: { env: variable } } },
        env: { [variable]: configured.url },
        ...more,
      }),
    };
  }

  const made: Readonly<Record<string, Make>> = {
    "postgres.analyze": async (name) => {
      const of = await branch(name);
      await of.asApp("UPDATE item SET price = price + 1 WHERE id <= 500");
      const effects = () => of.count("SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 'item'");
      return of.operation({ with: {}, whole: 1, effects });
    },
    "postgres.vacuum": async (name) => {
      const of = await branch(name);
      await of.asApp("DELETE FROM item WHERE id > 15000");
      const effects = () => of.count("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'item'");
      return of.operation({ with: {}, whole: 1, effects });
    },
    "postgres.backup": async (name) => {
      const of = await branch(name);
      const folder = of.postgres.backupFolder as string;
      const effects = async () => (await readdir(folder)).filter((file) => file.endsWith(".dump")).length;
      // A backup more is what doing it again costs.
      return of.operation({ with: {}, whole: 1, twice: 2, effects });
    },
    "postgres.restore": async (name) => {
      const of = await branch(name);
      await carriedOut(backup, {}, { ...shop.target, postgres: of.postgres });
      await of.asApp("DELETE FROM sale");
      const effects = async () => {
        const back = await of.count("SELECT count(*) FROM sale");
        const all = await shop.admin("SELECT datname FROM pg_database WHERE datname LIKE $1", [`${name}_%`]);
        const kept = all.filter((row) => /_before_[0-9a-f]{8}$/.test(String(row["datname"]))).length;
        return (back === 200 ? 1 : 0) + kept;
      };
      return of.operation({ with: { backup: `${of.database}-0001` }, whole: 2, effects });
    },
    "postgres.cancel-queries": async (name) => {
      const of = await branch(name);
      const running = (await Promise.all([of.session(), of.session()])).map((one) => one.start("SELECT pg_sleep(600)"));
      const effects = async () => running.filter(({ state }) => state === "57014").length;
      return of.operation({ with: { olderThanSeconds: 1 }, whole: 2, effects });
    },
    "postgres.terminate-sessions": async (name) => terminate(await branch(name)),
    "postgres.create-index": async (name) => {
      const of = await branch(name);
      const effects = () =>
        of.count("SELECT count(*) FROM pg_indexes WHERE tablename = 'item' AND indexdef ~ '[(]kind[)]'");
      return of.operation({ with: { table: "item", columns: ["kind"] }, whole: 1, effects });
    },
    "postgres.drop-invalid-indexes": async (name) => {
      const of = await branch(name);
      await of.asApp("CREATE INDEX item_left_ccnew ON item (note)");
      await of.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'item_left_ccnew'::regclass");
      const effects = () => of.count("SELECT 1 - count(*) FROM pg_indexes WHERE indexname = 'item_left_ccnew'");
      return of.operation({ with: { table: "item" }, whole: 1, effects });
    },
    "postgres.reindex": async (name) => {
      const of = await branch(name);
      const before = await of.count("SELECT 'item_price'::regclass::oid::int8");
      const effects = async () => {
        expect(await of.count("SELECT count(*) FROM pg_index WHERE NOT indisvalid")).toBe(0);
        return (await of.count("SELECT 'item_price'::regclass::oid::int8")) === before ? 0 : 1;
      };
      return of.operation({ with: { table: "item", indexes: ["item_price"] }, whole: 1, effects });
    },
    "postgres.read-only": async (name) => {
      const of = await branch(name);
      const effects = async () => {
        const [row] = await of.asApp("SHOW default_transaction_read_only");
        return row?.["default_transaction_read_only"] === "on" ? 1 : 0;
      };
      return of.operation({ with: { graceSeconds: 0 }, whole: 1, effects });
    },
  };

  /** Two sessions that sit in their transactions. */
  async function terminate(of: Branch, meanwhile?: (leaving: Session) => Promise<void>): Promise<Operation> {
    const open = async () => {
      const session = await of.session();
      await session.client.query("BEGIN");
      return session;
    };
    const [leaving] = [await open(), await open()];
    const effects = async () => 2 - (await there(of));
    const leave = meanwhile && { meanwhile: () => meanwhile(leaving) };
    return of.operation({ with: { olderThanSeconds: 1 }, whole: 2, effects, ...leave });
  }

  async function there({ database }: Branch): Promise<number> {
    const found = "SELECT FROM pg_stat_activity WHERE datname = $1 AND usename = $2";
    return (await shop.admin(found, [database, shop.app])).length;
  }

  return {
    made,
    /** Of two sessions that are to be ended one ends by itself, so that it cannot be told what was done. */
    inDoubt: async (name: string): Promise<Operation> => {
      const of = await branch(name);
      return terminate(of, async (leaving) => {
        await leaving.client.end();
        await until(async () => (await there(of)) === 1, { what: "the session to end" });
      });
    },
    close: () => shop.closeSessions(),
  };
}
