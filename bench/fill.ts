/** Fills a database with runs and their histories by SQL, as they would be after a long time. */

import pg from "pg";

const chunk = 50_000;

/** Episodes with one run each, the last `waiting` of which wait; the others have ended. Their times end now. */
export async function fill(databaseUrl: string, runs: number, waiting: number): Promise<void> {
  const beganAt = Date.now() - runs;
  const chunks = Array.from({ length: Math.ceil(runs / chunk) }, (_, index) => index * chunk);
  const fillers = Array.from({ length: 2 }, async () => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    // Checking a million references and syncing them one by one is not what is measured.
    await client.query("SET session_replication_role = replica; SET synchronous_commit = off");
    for (let from = chunks.shift(); from !== undefined; from = chunks.shift()) {
      const to = Math.min(from + chunk, runs);
      await client.query(fillSql, [from + 1, to, beganAt, runs - waiting]);
    }
    await client.end();
  });
  await Promise.all(fillers);
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query("VACUUM ANALYZE");
  await client.query("CHECKPOINT");
  await client.end();
}

const fillSql = `
WITH made AS MATERIALIZED (
  SELECT i,
    (lpad(to_hex($3::bigint + i), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0') || '8' || lpad(to_hex(i), 15, '0'))::uuid AS id,
    md5('fingerprint' || i) AS text,
    to_timestamp(($3::bigint + i) / 1000.0) AS at,
    i > $4::int AS waits
  FROM generate_series($1::int, $2::int) AS i
), episodes AS (
  INSERT INTO paramedic.episodes (id, source, fingerprint, status, starts_at, ends_at, labels, annotations, first_seen, last_seen)
  SELECT id, 'alertmanager', left(text, 16), CASE WHEN waits THEN 'firing' ELSE 'resolved' END, at,
    CASE WHEN NOT waits THEN at END,
    jsonb_build_object('alertname', 'Benchmark', 'service', 'service-' || i % 20, 'severity', 'critical'),
    jsonb_build_object('summary', 'Database overload'), at, at
  FROM made
), runs AS (
  INSERT INTO paramedic.runs (id, episode_id, playbook, playbook_hash, target, lock_key, trigger, state, waiting_for, outcome,
    due_at, last_seq, last_hash, created_at, ended_at)
  SELECT id, id, 'playbook-' || i % 10, 'sha256:00', 'target-' || i % 20, 'target-' || i % 20, 'alert',
    CASE WHEN waits THEN 'waiting' ELSE 'ended' END,
    CASE WHEN waits THEN (ARRAY['approval', 'verification', 'target'])[1 + i % 3] END,
    CASE WHEN NOT waits THEN (ARRAY['fixed', 'nothing-to-do', 'ineffective'])[1 + i % 3] END,
    CASE WHEN waits THEN now() + interval '1 hour' ELSE at END, 3, decode(text, 'hex'), at, CASE WHEN NOT waits THEN at END
  FROM made
)
INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash)
SELECT id, seq, json_build_object('at', at, 'type', 'step-observed', 'step', 'step-' || seq,
    'output', json_build_object('status', 200, 'body', text), 'durationMs', 3), decode(text || text, 'hex'), decode(text || text, 'hex')
FROM made, generate_series(1, 3) AS seq`;
