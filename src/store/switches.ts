/** The kill switch: one row in Postgres, which no restart and no configuration turns off. */

import { type Database, inTransaction } from "./connect.ts";

export interface Switch {
  readonly paused: boolean;
  readonly reason: string | null;
  readonly by: string | null;
  readonly since: string;
  /** When it turns itself off; null: when somebody does. */
  readonly until: string | null;
}

export interface Switches {
  read(): Promise<Switch>;
  /**
   * Sets it and returns it with the runs that waited for it and are due again: the oldest ones, at most 500. The others
   * look again by themselves. Turning it never waits for runs, and never fails because of them.
   */
  set(change: {
    readonly paused: boolean;
    readonly reason: string;
    readonly by: string;
    readonly until: string | null;
  }): Promise<{ readonly switch: Switch; readonly woken: readonly string[] }>;
}

interface SwitchRow {
  readonly paused: boolean;
  readonly reason: string | null;
  readonly by: string | null;
  readonly since: Date;
  readonly until: Date | null;
}

const columns = `paused AND (until IS NULL OR until > now()) AS paused, reason, by, since, until`;

export function createSwitches(database: Database): Switches {
  return {
    read: async () => {
      const { rows } = await database.people.query<SwitchRow>(
        `SELECT ${columns} FROM paramedic.switches WHERE name = 'automation'`,
      );
      const row = rows[0];
      if (!row) throw new Error("the kill switch has no row: nothing executes until it is set");
      return switchOf(row);
    },
    set: async (change) => {
      const { rows } = await database.people.query<SwitchRow>(
        `INSERT INTO paramedic.switches (name, paused, reason, by, since, until)
         VALUES ('automation', $1, $2, $3, now(), $4)
         ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, reason = excluded.reason, by = excluded.by,
           since = excluded.since, until = excluded.until
         RETURNING ${columns}`,
        [change.paused, change.reason, change.by, change.until],
      );
      const turned = switchOf(rows[0] as SwitchRow);
      if (change.paused) return { switch: turned, woken: [] };
      // The switch is turned by now. Runs that nobody wakes look again by themselves, so this must not fail the answer.
      const woken = await wake(database).catch(() => []);
      return { switch: turned, woken };
    },
  };
}

/** At most so many runs are woken at once; the others look again by themselves within seconds. */
const wokenAtMost = 500;

/** Makes the oldest runs that wait for the switch due, without waiting for those that somebody has locked. */
async function wake(database: Database): Promise<readonly string[]> {
  return inTransaction(database.people, async (client) => {
    // Somebody waits for the answer, and it does not depend on this.
    await client.query("SET LOCAL statement_timeout = '1s'");
    const { rows } = await client.query<{ id: string }>(
      `UPDATE paramedic.runs SET due_at = now(), hinted_at = NULL WHERE id IN (
         SELECT id FROM paramedic.runs WHERE state = 'waiting' AND waiting_for = 'switch'
         ORDER BY id LIMIT ${wokenAtMost} FOR UPDATE SKIP LOCKED)
       RETURNING id`,
    );
    return rows.map((row) => row.id);
  });
}

function switchOf(row: SwitchRow): Switch {
  return {
    paused: row.paused,
    reason: row.reason,
    by: row.by,
    since: row.since.toISOString(),
    until: row.until?.toISOString() ?? null,
  };
}
