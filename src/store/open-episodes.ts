/** Opens or repeats episodes for alerts that fire, with the runs that they start, in one statement. */

import type pg from "pg";
import { given } from "./given.ts";
import { type IncomingAlert, keyOf, type Received, sameStart } from "./incoming.ts";
import { firstEvent, lockKeyOf } from "./new-run.ts";

/** Takes the locks of all open episodes in the order in which `open` does, so that no two notifications wait for each other. */
export async function lockOpen(client: pg.PoolClient, alerts: readonly IncomingAlert[]): Promise<void> {
  await client.query(
    `SELECT FROM paramedic.episodes e
     WHERE e.status = 'firing'
       AND (e.source, e.fingerprint) IN (SELECT * FROM unnest($1::text[], $2::text[]))
     ORDER BY e.source COLLATE "C", e.fingerprint COLLATE "C" FOR UPDATE`,
    [alerts.map((one) => one.source), alerts.map((one) => one.alert.fingerprint)],
  );
}

/**
 * One statement: opens or repeats an episode for each firing alert and creates the runs that are missing.
 * Returns the alerts whose open episode is an older firing; nothing was done for those.
 */
export async function open(
  client: pg.Pool | pg.PoolClient,
  firing: readonly IncomingAlert[],
  at: string,
  answers: Map<IncomingAlert, Received>,
): Promise<readonly IncomingAlert[]> {
  if (firing.length === 0) return [];
  // An alert that stands twice in one batch is stored once, by its newest start; Postgres would refuse the second.
  const chosen = new Map<string, { alert: IncomingAlert; times: number }>();
  for (const one of firing) {
    const before = chosen.get(keyOf(one));
    const newer = !before || one.alert.startsAt > before.alert.alert.startsAt;
    chosen.set(keyOf(one), { alert: newer ? one : before.alert, times: (before?.times ?? 0) + 1 });
  }
  const rows = [...chosen.values()];
  const runs = rows.flatMap(({ alert }, index) =>
    alert.runs.map((run) => ({ run, index: index + 1, first: firstEvent(run, at) })),
  );
  const { rows: stored } = await client.query<OpenedRow>({
    name: "paramedic-open-episodes",
    text: openSql,
    values: opened.values({
      told: rows.map(({ alert: { episodeId, source, alert }, times }, index) => ({
        index: index + 1,
        id: episodeId,
        source,
        fingerprint: alert.fingerprint,
        starts_at: alert.startsAt,
        labels: JSON.stringify(alert.labels),
        annotations: JSON.stringify(alert.annotations),
        times,
      })),
      runs: runs.map(({ index, run, first }) => ({
        index,
        id: run.id,
        playbook: run.playbook,
        playbook_hash: run.playbookHash,
        target: run.target ?? "",
        lock_key: lockKeyOf(run),
        event: first.text,
        prev_hash: first.prevHash,
        hash: first.hash,
        hold_policy: run.hold?.policy ?? null,
        hold_seconds: (run.hold?.afterMs ?? 0) / 1000,
      })),
    }),
  });
  const of = rows.map(({ alert }) => alert);
  return settleOpened(firing, of, await withRunsOfOthers(client, of, stored), answers);
}

/** Adds the runs that a concurrent notification created after the statement began: it could not create them nor see them. */
async function withRunsOfOthers(
  client: pg.Pool | pg.PoolClient,
  chosen: readonly IncomingAlert[],
  stored: readonly OpenedRow[],
): Promise<readonly OpenedRow[]> {
  const isIncomplete = (row: OpenedRow) =>
    !row.superseded && row.runs.length < (chosen[row.index - 1] as IncomingAlert).runs.length;
  const incomplete = stored.filter(isIncomplete);
  if (incomplete.length === 0) return stored;
  const { rows } = await client.query<{ episode_id: string; id: string; playbook: string; target: string }>(
    "SELECT episode_id, id, playbook, target FROM paramedic.runs WHERE episode_id = ANY($1::uuid[])",
    [incomplete.map((row) => row.id)],
  );
  return stored.map((row) => {
    if (!isIncomplete(row)) return row;
    const known = new Set(row.runs.map((run) => run.id));
    const wanted = (chosen[row.index - 1] as IncomingAlert).runs;
    const others = rows.filter(
      (run) =>
        run.episode_id === row.id &&
        !known.has(run.id) &&
        wanted.some((one) => one.playbook === run.playbook && (one.target ?? "") === run.target),
    );
    return { ...row, runs: [...row.runs, ...others.map((run) => ({ ...run, created: false }))] };
  });
}

function settleOpened(
  firing: readonly IncomingAlert[],
  chosen: readonly IncomingAlert[],
  stored: readonly OpenedRow[],
  answers: Map<IncomingAlert, Received>,
): readonly IncomingAlert[] {
  const byKey = new Map<string, OpenedRow>();
  for (const row of stored) byKey.set(keyOf(chosen[row.index - 1] as IncomingAlert), row);
  const superseding: IncomingAlert[] = [];
  for (const one of firing) {
    const row = byKey.get(keyOf(one));
    if (!row) {
      answers.set(one, { kind: "ignored", reason: "late-duplicate" });
      continue;
    }
    if (row.superseded) {
      superseding.push(one);
      continue;
    }
    const winner = chosen[row.index - 1] === one;
    const runs = row.runs.map((run) => ({
      id: run.id,
      playbook: run.playbook,
      target: run.target === "" ? null : run.target,
      // Of two notifications in one batch, one created the run and the other repeats it.
      created: run.created && winner,
    }));
    answers.set(one, { kind: "firing", episodeId: row.id, runs });
  }
  return superseding;
}

interface OpenedRow {
  readonly index: number;
  readonly id: string;
  readonly superseded: boolean;
  readonly runs: readonly { id: string; playbook: string; target: string; created: boolean }[];
}

const opened = given({
  told: {
    index: "int",
    id: "uuid",
    source: "text",
    fingerprint: "text",
    starts_at: "timestamptz",
    labels: "jsonb",
    annotations: "jsonb",
    /** How often the batch tells it. */
    times: "int",
  },
  /** The runs that each alert wants, by its index. */
  runs: {
    index: "int",
    id: "uuid",
    playbook: "text",
    playbook_hash: "text",
    target: "text",
    lock_key: "text",
    event: "text",
    prev_hash: "bytea",
    hash: "bytea",
    hold_policy: "text",
    hold_seconds: "float8",
  },
});

// `status || ''` keeps Postgres from the index of all that fires: where its statistics are of a time when little did, that one
// is the shorter way to it.
const openSql = `
WITH told AS (
  SELECT * FROM ${opened.from.told}
), timely AS (
  SELECT told.* FROM told WHERE NOT EXISTS (
    SELECT FROM paramedic.episodes e
    WHERE e.source = told.source AND e.fingerprint = told.fingerprint AND e.status = 'resolved'
      AND (e.starts_at >= told.starts_at OR e.ends_at > told.starts_at))
), seen AS (
  INSERT INTO paramedic.episodes AS e (id, source, fingerprint, status, starts_at, labels, annotations, notifications)
  SELECT id, source, fingerprint, 'firing', starts_at, labels, annotations, times FROM timely
  ORDER BY source COLLATE "C", fingerprint COLLATE "C"
  ON CONFLICT (source, fingerprint) WHERE status = 'firing' DO UPDATE
    SET last_seen = now(), notifications = e.notifications + excluded.notifications,
        annotations = excluded.annotations
    WHERE excluded.starts_at BETWEEN e.starts_at - ${sameStart} AND e.starts_at + ${sameStart}
  RETURNING e.id, e.source, e.fingerprint
), wanted AS (
  SELECT runs.*, seen.id AS episode_id FROM ${opened.from.runs}
  LEFT JOIN told USING (index) LEFT JOIN seen USING (source, fingerprint)
), created AS (
  INSERT INTO paramedic.runs (id, episode_id, playbook, playbook_hash, target, lock_key, trigger, last_seq, last_hash)
  SELECT id, episode_id, playbook, playbook_hash, target, lock_key, 'alert', 1, hash FROM wanted
  WHERE episode_id IS NOT NULL
  ON CONFLICT (episode_id, playbook, target) WHERE episode_id IS NOT NULL DO NOTHING
  RETURNING id
), begun AS (
  INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash)
  SELECT w.id, 1, w.event::json, w.prev_hash, w.hash FROM wanted w JOIN created USING (id)
), held AS (
  INSERT INTO paramedic.escalations (run_id, policy, topic, held, due_at)
  SELECT w.id, w.hold_policy, 'held', true, now() + make_interval(secs => w.hold_seconds)
  FROM wanted w JOIN created USING (id) WHERE w.hold_policy IS NOT NULL
), known AS (
  SELECT w.index, w.playbook, w.target, c.id IS NOT NULL AS created,
    coalesce(c.id, (SELECT r.id FROM paramedic.runs r
      WHERE r.episode_id = w.episode_id AND r.playbook = w.playbook AND r.target = w.target)) AS id
  FROM wanted w LEFT JOIN created c USING (id)
), answers AS (
  SELECT index, json_agg(json_build_object('id', id, 'playbook', playbook, 'target', target, 'created', created)) AS runs
  FROM known WHERE id IS NOT NULL GROUP BY index
)
SELECT timely.index, coalesce(seen.id, timely.id) AS id, seen.id IS NULL AS superseded,
  coalesce(answers.runs, '[]'::json) AS runs
FROM timely LEFT JOIN seen USING (source, fingerprint) LEFT JOIN answers USING (index)
WHERE seen.id IS NOT NULL OR EXISTS (
  SELECT FROM paramedic.episodes e WHERE e.source = timely.source AND e.fingerprint = timely.fingerprint
    AND e.status || '' = 'firing' AND e.starts_at < timely.starts_at)`;
