/**
 * Stores what Alertmanager told: opens, repeats and closes episodes and creates their runs, alert by alert.
 * Concurrent notifications share their statements. A flood takes as many statements more as it has slices, each of which
 * the store can carry out in its time.
 */

import type pg from "pg";
import type { Alert, IgnoredReason } from "../domain/alert.ts";
import { batched } from "./batch.ts";
import { type Database, inTransaction } from "./connect.ts";
import { given } from "./given.ts";
import { firstEvent, lockKeyOf, type NewRun } from "./new-run.ts";
import { appendFromOutside } from "./outside.ts";

/** An alert and the runs it is to start if its episode has not started them yet. */
export interface IncomingAlert {
  /** A UUIDv7; used if the episode turns out to be new. */
  readonly episodeId: string;
  /** Which Alertmanagers this came from; members of one cluster share a source. */
  readonly source: string;
  readonly alert: Alert;
  readonly runs: readonly NewRun[];
}

export interface ReceivedRun {
  readonly id: string;
  readonly playbook: string;
  readonly target: string | null;
  readonly created: boolean;
}

export type Received =
  | { readonly kind: "firing"; readonly episodeId: string; readonly runs: readonly ReceivedRun[] }
  | { readonly kind: "ignored"; readonly reason: Extract<IgnoredReason, "late-duplicate" | "resolved" | "invalid"> };

export type Receive = (alerts: readonly IncomingAlert[]) => Promise<readonly Received[]>;

/**
 * Two Alertmanagers may have seen one alert start at slightly different times; a start that is later than this after
 * that of the open episode is a new firing, whose predecessor's end was never told (`send_resolved: false`).
 */
const sameStart = "interval '60 s'";
const mostDeliveriesInOne = 64;
/** Beyond this, Alertmanager is asked to come again: their answers would be late anyway. */
const mostDeliveriesWaiting = 2_000;
/** How many alerts one statement stores; more are stored by several of one transaction. */
const mostInOneStatement = 2_000;
/** Those that are larger go by themselves, one after the other, so that no other one waits for them. */
const mostLargeWaiting = 8;
/** How often a notification that met another one about the same alerts is stored anew. */
const mostTries = 4;

/**
 * Makes the function that stores notifications. One call is one notification and is stored whole or not at all, but for
 * an alert that Postgres itself refuses: it is answered `invalid` and costs the others nothing.
 */
export function createReceive(database: Database, now: () => number): Receive {
  const together = storeTogether(database, now);
  const alone = storeAlone(database, now);
  return async (alerts) => {
    try {
      return await (alerts.length > mostInOneStatement ? alone : together)(alerts);
    } catch (error) {
      if (!isDataException(error)) throw error;
      return await storeEach(database.pool, alerts, now);
    }
  };
}

/** SQLSTATE class 22: a value that passed our checks and still is none to Postgres. */
function isDataException(error: unknown): boolean {
  return ((error as { code?: string }).code ?? "").startsWith("22");
}

async function storeEach(
  pool: pg.Pool,
  alerts: readonly IncomingAlert[],
  now: () => number,
): Promise<readonly Received[]> {
  const answers: Received[] = [];
  for (const alert of alerts) {
    try {
      answers.push(...(await storeAgain(pool, [alert], now)));
    } catch (error) {
      if (!isDataException(error)) throw error;
      answers.push({ kind: "ignored", reason: "invalid" });
    }
  }
  return answers;
}

/** Concurrent notifications share their statements. */
function storeTogether(database: Database, now: () => number): Receive {
  return batched<readonly IncomingAlert[], readonly Received[]>(
    async (deliveries) => {
      const results = await storeAgain(database.pool, deliveries.flat(), now);
      let from = 0;
      return deliveries.map((delivery) => {
        const part = results.slice(from, from + delivery.length);
        from += delivery.length;
        return part;
      });
    },
    { lanes: 2, most: mostDeliveriesInOne, mostWaiting: mostDeliveriesWaiting },
  );
}

function storeAlone(database: Database, now: () => number): Receive {
  return batched<readonly IncomingAlert[], readonly Received[]>(
    ([alerts = []]) => storeAgain(database.pool, alerts, now).then((answers) => [answers]),
    { lanes: 1, most: 1, mostWaiting: mostLargeWaiting },
  );
}

/**
 * Stores; once more where a concurrent notification came in between. Both Alertmanagers of a pair may tell of the same
 * alerts at the same moment, one that they fire and one that they are over: what one saw is then no longer so when it
 * may write (unique_violation), or both wait for each other (deadlock_detected).
 */
async function storeAgain(
  pool: pg.Pool,
  alerts: readonly IncomingAlert[],
  now: () => number,
): Promise<readonly Received[]> {
  for (let tries = 1; ; tries++) {
    try {
      return await store(pool, alerts, now);
    } catch (error) {
      const met = ["23505", "40P01"].includes((error as { code?: string }).code ?? "");
      if (!met || tries === mostTries) throw error;
    }
  }
}

async function store(pool: pg.Pool, alerts: readonly IncomingAlert[], now: () => number): Promise<readonly Received[]> {
  if (alerts.length === 0) return [];
  const answers = new Map<IncomingAlert, Received>();
  const at = new Date(now()).toISOString();
  const slices = slicesOf(alerts);
  const isSimple = slices.length === 1 && alerts.every((one) => one.alert.status === "firing");
  const superseding = isSimple ? await open(pool, alerts, at, answers) : null;
  if (superseding === null || superseding.length > 0) {
    await inTransaction(pool, async (client) => {
      const over: string[] = [];
      for (const slice of slices) over.push(...(await storeSlice(client, slice, at, answers, superseding)));
      await tellRuns(client, over);
    });
  }
  return alerts.map((one) => answers.get(one) ?? { kind: "ignored", reason: "late-duplicate" });
}

/** What one statement can store at a time, in the order in which episodes are locked. All that is told of an alert stays together. */
function slicesOf(alerts: readonly IncomingAlert[]): readonly (readonly IncomingAlert[])[] {
  if (alerts.length <= mostInOneStatement) return [alerts];
  const keyed = alerts.map((one) => ({ one, key: keyOf(one) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const slices: IncomingAlert[][] = [];
  let last: string | null = null;
  for (const { one, key } of keyed) {
    const slice = slices.at(-1);
    if (!slice || (slice.length >= mostInOneStatement && key !== last)) slices.push([one]);
    else slice.push(one);
    last = key;
  }
  return slices;
}

/** Stores a slice in its transaction; `superseding` are its alerts whose open episode is an older firing, where that is known. Returns the episodes that are over. */
async function storeSlice(
  client: pg.PoolClient,
  alerts: readonly IncomingAlert[],
  at: string,
  answers: Map<IncomingAlert, Received>,
  superseding: readonly IncomingAlert[] | null,
): Promise<readonly string[]> {
  await lockOpen(client, alerts);
  const firing = alerts.filter((one) => one.alert.status === "firing");
  const resolved = alerts.filter((one) => one.alert.status === "resolved");
  const late = superseding ?? (await open(client, firing, at, answers));
  const over: string[] = [];
  if (late.length > 0) {
    over.push(...(await supersede(client, late)));
    await open(client, late, at, answers);
  }
  if (resolved.length > 0) {
    over.push(...(await close(client, resolved)));
    for (const one of resolved) answers.set(one, { kind: "ignored", reason: "resolved" });
  }
  return over;
}

/** Takes the locks of all open episodes in the order in which `open` does, so that no two notifications wait for each other. */
async function lockOpen(client: pg.PoolClient, alerts: readonly IncomingAlert[]): Promise<void> {
  await client.query(
    `SELECT FROM paramedic.episodes e
     WHERE e.status = 'firing'
       AND (e.source, e.fingerprint) IN (SELECT * FROM unnest($1::text[], $2::text[]))
     ORDER BY e.source COLLATE "C", e.fingerprint COLLATE "C" FOR UPDATE`,
    [alerts.map((one) => one.source), alerts.map((one) => one.alert.fingerprint)],
  );
}

const keyOf = (one: IncomingAlert): string => `${one.source}\n${one.alert.fingerprint}`;

/**
 * One statement: opens or repeats an episode for each firing alert and creates the runs that are missing.
 * Returns the alerts whose open episode is an older firing; nothing was done for those.
 */
async function open(
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

/** Closes the open episodes that these newer firings prove to be over. */
async function supersede(client: pg.PoolClient, late: readonly IncomingAlert[]): Promise<readonly string[]> {
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
async function close(client: pg.PoolClient, resolved: readonly IncomingAlert[]): Promise<readonly string[]> {
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
async function tellRuns(client: pg.PoolClient, episodes: readonly string[]): Promise<void> {
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
