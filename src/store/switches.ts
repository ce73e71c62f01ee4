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
  /** Sets it and returns it with the runs that waited for it and are due again. */
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
    set: (change) =>
      inTransaction(database.people, async (client) => {
        const { rows } = await client.query<SwitchRow>(
          `INSERT INTO paramedic.switches (name, paused, reason, by, since, until)
           VALUES ('automation', $1, $2, $3, now(), $4)
           ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, reason = excluded.reason, by = excluded.by,
             since = excluded.since, until = excluded.until
           RETURNING ${columns}`,
          [change.paused, change.reason, change.by, change.until],
        );
        if (change.paused) return { switch: switchOf(rows[0] as SwitchRow), woken: [] };
        const { rows: woken } = await client.query<{ id: string }>(
          `UPDATE paramedic.runs SET due_at = now(), hinted_at = NULL WHERE id IN (
             SELECT id FROM paramedic.runs WHERE state = 'waiting' AND waiting_for = 'switch' ORDER BY id FOR UPDATE)
           RETURNING id`,
        );
        return { switch: switchOf(rows[0] as SwitchRow), woken: woken.map((row) => row.id) };
      }),
  };
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
