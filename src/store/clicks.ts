/** What people pressed in Slack, as rows: stored before anything is made of it, so that none is lost or counted twice. */

import type { JsonObject } from "../domain/json.ts";
import type { Database } from "./connect.ts";

export interface Clicks {
  /** Stores a click by Slack's own identification of it. False: it is stored already. */
  keep(key: string, click: JsonObject): Promise<boolean>;
  /** Takes a few clicks that nobody has made anything of for some seconds, for `leaseMs`: their process has stopped. */
  takeLeft(leaseMs: number): Promise<readonly { readonly key: string; readonly click: JsonObject }[]>;
  handled(key: string): Promise<void>;
}

/** After this time, whoever stored a click is not coming back to it. */
const leftAfterSeconds = 10;
/** So many are handled at one time, by connections that they share with everybody who decides something. */
const mostTaken = 8;
/** For how long a handled click is kept, to tell it from one that Slack delivers once more. */
const keptDays = 7;

export function createClicks(database: Database): Clicks {
  const { people, clicks } = database;
  return {
    keep: async (key, click) => {
      const { rowCount } = await clicks.query({
        name: "paramedic-keep-click",
        text: "INSERT INTO paramedic.clicks (key, click) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
        values: [key, click],
      });
      return rowCount === 1;
    },
    takeLeft: async (leaseMs) => {
      const { rows } = await people.query<{ key: string; click: JsonObject }>(
        `UPDATE paramedic.clicks SET lease_until = now() + make_interval(secs => $1)
         WHERE key IN (
           SELECT key FROM paramedic.clicks
           WHERE handled_at IS NULL AND received_at < now() - make_interval(secs => $2)
             AND (lease_until IS NULL OR lease_until <= now())
           ORDER BY received_at LIMIT ${mostTaken} FOR UPDATE SKIP LOCKED)
         RETURNING key, click`,
        [leaseMs / 1000, leftAfterSeconds],
      );
      // What was made of it is in the run's history.
      await people.query(`DELETE FROM paramedic.clicks WHERE handled_at < now() - interval '${keptDays} days'`);
      return rows;
    },
    handled: async (key) => {
      await people.query("UPDATE paramedic.clicks SET handled_at = now() WHERE key = $1", [key]);
    },
  };
}
