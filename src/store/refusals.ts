/** Records in a run's history who tried to have it and may not. */

import { type Database, inTransaction } from "./connect.ts";
import { appendFromOutside } from "./outside.ts";

export interface Refusals {
  /** At most a hundred times for one run; nothing where there is no such run. */
  acknowledgement(runId: string, by: string, reason: string): Promise<void>;
}

/** One run's history is not filled by somebody who presses on. */
const mostRefusals = 100;

export function createRefusals(database: Database): Refusals {
  return {
    acknowledgement: (runId, by, reason) =>
      inTransaction(database.people, async (client) => {
        await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [runId]);
        const { rows } = await client.query<{ count: number }>(
          `SELECT count(*)::int AS count FROM paramedic.run_events
           WHERE run_id = $1 AND event ->> 'type' = 'acknowledge-refused'`,
          [runId],
        );
        if ((rows[0]?.count ?? 0) >= mostRefusals) return;
        const happening = { type: "acknowledge-refused", by, reason } as const;
        await appendFromOutside(client, [{ runId, happening }], { evenEnded: true });
      }),
  };
}
