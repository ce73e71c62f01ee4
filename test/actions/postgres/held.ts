/** Holds changes of a Postgres inside their work, for tests of what becomes of them when they are stopped there. */

import { randomInt } from "node:crypto";
import { until } from "../../support/until.ts";
import type { Held } from "../contract.ts";
import type { Patient } from "./patient.ts";
import type { Shop } from "./shop.ts";

/** What of Paramedic's the server works at, as the start of a statement or as what it waits for. */
const working = (shop: Shop, condition: string) => async () =>
  (
    await shop.admin(`SELECT FROM pg_stat_activity WHERE usename = $1 AND state = 'active' AND ${condition}`, [
      shop.carer,
    ])
  ).length > 0;

const notWorking = (inside: () => Promise<boolean>) =>
  until(async () => !(await inside()), { timeoutMs: 5_000, what: "the server to stop working for it" });

/** By a lock on the table, which `statement`, the first word of what Paramedic runs, waits for. */
export async function heldByLock(shop: Shop, table: string, mode: string, statement: string): Promise<Held> {
  const { client } = await shop.session();
  await client.query("BEGIN");
  await client.query(`LOCK TABLE ${table} IN ${mode} MODE`);
  const inside = working(shop, `wait_event_type = 'Lock' AND query LIKE '${statement}%'`);
  return { inside, ended: () => notWorking(inside), release: () => client.query("ROLLBACK") };
}

/** An index of a table by which whoever reads all of it for maintenance, or restores it, stands still while that is wanted. */
export interface Trap {
  /** Makes the index, at which nothing stands still yet. `column` is a number. */
  install(table: string, column: string): Promise<void>;
  remove(): Promise<void>;
  spring(): Promise<Held>;
}

export function trapIn(shop: Shop): Trap {
  const key = randomInt(1, 2 ** 31 - 1);
  const remove = () => shop.asApp("DROP FUNCTION IF EXISTS trap CASCADE");
  return {
    install: async (table, column) => {
      await remove();
      await shop.asApp(
        `CREATE FUNCTION trap(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
           BEGIN
             IF EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objid = ${key}) THEN
               PERFORM pg_catalog.pg_sleep(600);
             END IF;
             RETURN n;
           END $$`,
      );
      await shop.asApp(`CREATE INDEX ${table}_trap ON ${table} (trap(${column})) WHERE ${column} = 1`);
    },
    remove: async () => void (await remove()),
    spring: async () => {
      const { client } = await shop.session();
      await client.query(`SELECT pg_advisory_lock(${key})`);
      const inside = working(shop, "wait_event = 'PgSleep'");
      return {
        inside,
        ended: () => notWorking(inside),
        release: () => client.query(`SELECT pg_advisory_unlock(${key})`),
      };
    },
  };
}

/** By backends of the application that do not react to anything, while Paramedic looks whether `statement` has ended them. */
export async function heldByStopped(patient: Patient, pids: readonly number[], statement: string): Promise<Held> {
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  return {
    inside: async () =>
      (
        await patient.admin("SELECT FROM pg_stat_activity WHERE usename = $1 AND starts_with(query, $2)", [
          patient.healer,
          statement,
        ])
      ).length > 0,
    release: async () => {
      for (const pid of pids) process.kill(pid, "SIGCONT");
    },
  };
}
