/** Whose turn it is to send the heartbeat to the outside, and when it was last heard there: one of all workers at a time. */

import type { Database } from "./connect.ts";

export interface HeartbeatTurns {
  /** Takes the turn for `forMs`. False: it is not time yet, or another worker has it. Rejects where the store cannot be written. */
  take(forMs: number): Promise<boolean>;
  /** It was heard; the next one is due in `everyMs`. */
  sent(everyMs: number): Promise<void>;
  /** It was not sent, or not heard; anybody may try again in `inMs`. */
  again(inMs: number): Promise<void>;
  /** When it was last heard, in seconds since 1970; NaN: never. */
  lastSeconds(): Promise<number>;
}

export function createHeartbeatTurns(database: Database): HeartbeatTurns {
  const { people } = database;
  return {
    take: async (forMs) => {
      const { rowCount } = await people.query(
        `UPDATE paramedic.heartbeat SET next_at = now() + make_interval(secs => $1) WHERE next_at <= now()`,
        [forMs / 1000],
      );
      return rowCount === 1;
    },
    sent: async (everyMs) => {
      await people.query(
        `UPDATE paramedic.heartbeat SET sent_at = now(), next_at = now() + make_interval(secs => $1)`,
        [everyMs / 1000],
      );
    },
    again: async (inMs) => {
      await people.query(`UPDATE paramedic.heartbeat SET next_at = now() + make_interval(secs => $1)`, [inMs / 1000]);
    },
    lastSeconds: async () => {
      const { rows } = await people.query<{ seconds: number | null }>(
        `SELECT extract(epoch FROM sent_at)::float8 AS seconds FROM paramedic.heartbeat`,
      );
      return rows[0]?.seconds ?? Number.NaN;
    },
  };
}
