/** Closes episodes whose alerts are over, and tells their runs. */

import type pg from "pg";
import { given } from "./given.ts";
import { type IncomingAlert, keyOf, mostInOneStatement, sameStart } from "./incoming.ts";
import { appendFromOutside } from "./outside.ts";

/** Closes the open episodes that these newer firings prove to be over. */
export async function supersede(client: pg.PoolClient, late: readonly IncomingAlert[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ id: string }>(
    `UPDATE paramedic.episodes e SET status = 'resolved', ends_at = t.starts_at
     FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS t(source, fingerprint, starts_at)
     WHERE e.source = t.source AND e.fingerprint = t.fingerprint AND e.status = 'firing'
       AND e.starts_at < t.starts_at - ${sameStart}
     RETURNING e.id`,
    [late.map((one) => one.source), late.map((one) => one.alert.fingerprint), late.map((one) => one.alert.startsAt)],
  );
  return rows.map((row) => row.id);
}

/** Closes the episodes of resolved alerts; one that was never heard of is stored closed where nothing else tells that its firing is late. */
export async function close(client: pg.PoolClient, resolved: readonly IncomingAlert[]): Promise<readonly string[]> {
  const latest = new Map<string, IncomingAlert>();
  for (const one of resolved) {
    const before = latest.get(keyOf(one));
    if (!before || one.alert.startsAt >= before.alert.startsAt) latest.set(keyOf(one), one);
  }
  const told = [...latest.values()].map(({ episodeId, source, alert }) => ({
    id: episodeId,
    source,
    fingerprint: alert.fingerprint,
    starts_at: alert.startsAt,
    ends_at: alert.endsAt ?? alert.startsAt,
    labels: JSON.stringify(alert.labels),
    annotations: JSON.stringify(alert.annotations),
  }));
  const { rows } = await client.query<{ id: string }>(closeSql, closing.values({ told }));
  return rows.map((row) => row.id);
}

const closing = given({
  told: {
    id: "uuid",
    source: "text",
    fingerprint: "text",
    starts_at: "timestamptz",
    ends_at: "timestamptz",
    labels: "jsonb",
    annotations: "jsonb",
  },
});

const closeSql = `
WITH told AS (
  SELECT * FROM ${closing.from.told}
), closed AS (
  UPDATE paramedic.episodes e
  SET status = 'resolved', ends_at = t.ends_at, last_seen = now(), notifications = e.notifications + 1
  FROM told t
  WHERE e.source = t.source AND e.fingerprint = t.fingerprint AND e.status = 'firing'
    AND e.starts_at <= t.starts_at + ${sameStart}
  RETURNING e.id, e.source, e.fingerprint
), unheard AS (
  INSERT INTO paramedic.episodes (id, source, fingerprint, status, starts_at, ends_at, labels, annotations)
  SELECT id, source, fingerprint, 'resolved', starts_at, ends_at, labels, annotations FROM told
  WHERE NOT EXISTS (SELECT FROM closed c WHERE c.source = told.source AND c.fingerprint = told.fingerprint)
    AND NOT EXISTS (
      SELECT FROM paramedic.episodes e
      WHERE e.source = told.source AND e.fingerprint = told.fingerprint AND e.status = 'resolved'
        AND (e.starts_at >= told.starts_at OR e.ends_at > told.starts_at))
)
SELECT id FROM closed`;

/**
 * Tells the runs of episodes that are over; they decide themselves what that means to them. What was handed over may have
 * recovered, which is measured.
 */
export async function tellRuns(client: pg.PoolClient, episodes: readonly string[]): Promise<void> {
  const told: { readonly id: string; readonly ends_at: Date | null }[] = [];
  for (const some of inSlices(episodes)) {
    const { rows } = await client.query<{ id: string; ends_at: Date | null }>(
      `SELECT r.id, e.ends_at
       FROM paramedic.runs r JOIN paramedic.episodes e ON e.id = r.episode_id
       WHERE r.episode_id = ANY($1::uuid[]) AND (r.state <> 'ended' OR EXISTS (
         SELECT FROM paramedic.escalations x
         WHERE x.run_id = r.id AND NOT x.held AND x.recovered_at IS NULL))`,
      [some],
    );
    told.push(...rows);
  }
  // Runs are locked in the order of their ids, by everybody who waits for such locks.
  told.sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const some of inSlices(told)) {
    await appendFromOutside(
      client,
      some.map(({ id, ends_at }) => ({
        runId: id,
        happening: { type: "alert-resolved", endsAt: ends_at?.toISOString() ?? null },
      })),
      { evenEnded: true },
    );
  }
  for (const some of inSlices(episodes)) {
    await client.query(
      `UPDATE paramedic.mitigations m SET revert_at = now(), reason = 'the alert resolved'
       FROM (SELECT i.id FROM paramedic.mitigations i JOIN paramedic.runs r ON r.id = i.run_id
             WHERE r.episode_id = ANY($1::uuid[]) AND i.on_resolved AND i.state = 'in-force'
             ORDER BY i.began_at, i.id FOR UPDATE OF i) AS over
       WHERE m.id = over.id`,
      [some],
    );
  }
  // Whether a run was handed over is asked anew: by now its row is ours, and before it may have been its worker's.
  for (const some of inSlices(told)) {
    await client.query(
      `UPDATE paramedic.escalations SET recheck_at = now(), recheck_host = NULL, rechecks = 0
       WHERE run_id = ANY($1::uuid[]) AND NOT held AND recovered_at IS NULL`,
      [some.map(({ id }) => id)],
    );
  }
}

function* inSlices<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += mostInOneStatement) yield all.slice(from, from + mostInOneStatement);
}
