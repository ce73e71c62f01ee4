/** Which runs are due and were not picked up: what the reconciler puts back and what an operator watches. */

import type { Database } from "./connect.ts";

export interface Due {
  /**
   * The runs that have been due for longer than `graceMs` and were not hinted at for `againMs`, oldest first. They are
   * marked as hinted at, so that of many workers one puts each back.
   */
  take(options: {
    readonly graceMs: number;
    readonly againMs: number;
    readonly most: number;
    /** Only the runs that wait for a worker of this host; left out: those that any worker may take. */
    readonly host?: string | null;
    /** After this time, a run that no worker of its host has taken is looked for by all. */
    readonly hostWaitMs?: number;
  }): Promise<readonly string[]>;
  /** For how many seconds the oldest due run has waited; 0 where none waits. */
  oldestSeconds(): Promise<number>;
}

export function createDue(database: Database): Due {
  return {
    take: async ({ graceMs, againMs, most, host = null, hostWaitMs = 120_000 }) => {
      const { rows } = await database.pool.query<{ id: string }>({
        name: "paramedic-take-due",
        text: `UPDATE paramedic.runs SET hinted_at = now() WHERE id IN (
                 SELECT id FROM paramedic.runs
                 WHERE state <> 'ended' AND due_at < now() - make_interval(secs => $1)
                   AND (hinted_at IS NULL OR hinted_at < now() - make_interval(secs => $2))
                   AND CASE WHEN $4::text IS NULL
                         THEN host IS NULL OR host_since <= now() - make_interval(secs => $5)
                         ELSE host = $4 END
                 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
               RETURNING id`,
        values: [graceMs / 1000, againMs / 1000, most, host, hostWaitMs / 1000],
      });
      return rows.map((row) => row.id);
    },
    oldestSeconds: async () => {
      const { rows } = await database.people.query<{ seconds: number | null }>(
        `SELECT extract(epoch FROM now() - min(due_at))::float8 AS seconds FROM paramedic.runs
         WHERE state <> 'ended' AND due_at < now()`,
      );
      return rows[0]?.seconds ?? 0;
    },
  };
}
