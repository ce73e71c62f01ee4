/** Appends to runs from outside their worker: a cancel, an answer, a resolved alert. The worker finds the history moved and decides anew. */

import type pg from "pg";
import type { Happening } from "../domain/event.ts";
import { extend } from "./chain.ts";
import { given } from "./given.ts";

/** Something that happened to a run and was not done by its worker. */
export interface OutsideEvent {
  readonly runId: string;
  readonly happening: Happening;
}

export interface OutsideOptions {
  /** Also to runs that have ended: who was told, and who has it, belong to the story too. */
  readonly evenEnded?: boolean;
}

/**
 * Appends one event to each run that has not ended and makes it due at once. Three statements, however many runs.
 * Returns the ids of the runs that were told.
 */
export async function appendFromOutside(
  client: pg.PoolClient,
  events: readonly OutsideEvent[],
  options: OutsideOptions = {},
): Promise<readonly string[]> {
  if (events.length === 0) return [];
  const { rows } = await client.query<{ id: string; last_seq: number; last_hash: Buffer; at: Date }>({
    name: "paramedic-hold-runs",
    text: `SELECT id, last_seq, last_hash, clock_timestamp() AS at FROM paramedic.runs
           WHERE id = ANY($1::uuid[]) AND ($2 OR state <> 'ended') ORDER BY id FOR NO KEY UPDATE`,
    values: [events.map((event) => event.runId), options.evenEnded ?? false],
  });
  const happenings = new Map(events.map((event) => [event.runId, event.happening]));
  const links = rows.flatMap((row) => {
    const happening = happenings.get(row.id) as Happening;
    const dated = { at: row.at.toISOString(), ...happening };
    return extend(row.id, { seq: row.last_seq, hash: row.last_hash }, [dated]).map((link) => ({ id: row.id, ...link }));
  });
  if (links.length === 0) return [];
  await client.query({
    name: "paramedic-append-from-outside",
    text: appendSql,
    values: tables.values({ told: links }),
  });
  return rows.map((row) => row.id);
}

const tables = given({ told: { id: "uuid", seq: "int", text: "text", prevHash: "bytea", hash: "bytea" } });

const appendSql = `
WITH told AS (
  SELECT * FROM ${tables.from.told}
), written AS (
  INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash)
  SELECT id, seq, text::json, prevHash, hash FROM told
), behind AS (
  UPDATE paramedic.outbox o SET due_at = now()
  FROM told WHERE o.run_id = told.id AND o.state = 'following' AND o.due_at IS NULL
)
UPDATE paramedic.runs r SET last_seq = told.seq, last_hash = told.hash, due_at = now(), hinted_at = NULL,
  -- Whatever was told may be the end of it: any worker may look.
  host = NULL, host_since = NULL
FROM told WHERE r.id = told.id`;
