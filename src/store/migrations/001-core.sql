-- Episodes, runs with their histories, approvals, locks, the kill switch and what was changed when.

CREATE TABLE paramedic.episodes (
  id            uuid PRIMARY KEY,
  source        text NOT NULL,
  fingerprint   text NOT NULL,
  status        text NOT NULL CHECK (status IN ('firing', 'resolved')),
  starts_at     timestamptz NOT NULL,
  ends_at       timestamptz,
  labels        jsonb NOT NULL,
  annotations   jsonb NOT NULL,
  first_seen    timestamptz NOT NULL DEFAULT now(),
  last_seen     timestamptz NOT NULL DEFAULT now(),
  notifications integer NOT NULL DEFAULT 1,
  UNIQUE (source, fingerprint, starts_at)
) WITH (fillfactor = 85);
-- At most one episode of an alert is open: this index is what two receivers race on.
CREATE UNIQUE INDEX episodes_open ON paramedic.episodes (source, fingerprint) WHERE status = 'firing';
CREATE INDEX episodes_firing_newest ON paramedic.episodes (id DESC) WHERE status = 'firing';
-- A firing that waited for the transaction that closed its episode must not open another one. This looks with a newer
-- snapshot than the statement that inserts; whoever gets the error tries again and finds the alert late.
CREATE FUNCTION paramedic.refuse_late_episode() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM paramedic.episodes e
    WHERE e.source = new.source AND e.fingerprint = new.fingerprint AND e.status = 'resolved'
      AND (e.starts_at >= new.starts_at OR e.ends_at > new.starts_at))
  THEN
    RAISE EXCEPTION 'the alert % was resolved meanwhile', new.fingerprint USING ERRCODE = 'unique_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER not_late AFTER INSERT ON paramedic.episodes
  FOR EACH ROW WHEN (new.status = 'firing') EXECUTE FUNCTION paramedic.refuse_late_episode();

CREATE TABLE paramedic.playbook_versions (
  hash       text PRIMARY KEY,
  name       text NOT NULL,
  source     text NOT NULL,
  first_seen timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE paramedic.runs (
  id              uuid PRIMARY KEY,
  episode_id      uuid REFERENCES paramedic.episodes (id),
  playbook        text NOT NULL,
  playbook_hash   text NOT NULL,
  target          text NOT NULL DEFAULT '',
  -- What no two runs may change at the same time: the target, or the playbook where there is none.
  lock_key        text NOT NULL,
  trigger         text NOT NULL CHECK (trigger IN ('alert', 'request', 'schedule')),
  requested_by    text,
  idempotency_key text,
  dry_run         boolean NOT NULL DEFAULT false,
  state           text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'running', 'waiting', 'ended')),
  waiting_for     text CHECK (waiting_for IN ('approval', 'verification', 'target', 'switch', 'retry', 'worker')),
  outcome         text CHECK ((outcome IS NOT NULL) = (state = 'ended')),
  -- When somebody should look at the run next; while it runs, when its lease ends.
  due_at          timestamptz NOT NULL DEFAULT now(),
  lease_until     timestamptz,
  fence           integer NOT NULL DEFAULT 0,
  worker          text,
  hinted_at       timestamptz,
  last_seq        integer NOT NULL,
  last_hash       bytea NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  ended_at        timestamptz
) WITH (fillfactor = 75);
CREATE UNIQUE INDEX runs_once ON paramedic.runs (episode_id, playbook, target) WHERE episode_id IS NOT NULL;
CREATE UNIQUE INDEX runs_idempotency ON paramedic.runs (requested_by, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_due ON paramedic.runs (due_at) WHERE state <> 'ended';
CREATE INDEX runs_waiting_for_target ON paramedic.runs (lock_key, id) WHERE waiting_for = 'target';
CREATE INDEX runs_by_state ON paramedic.runs (state, id DESC) WHERE state <> 'ended';
CREATE INDEX runs_ended ON paramedic.runs (id DESC) WHERE state = 'ended';
-- Both in one direction, so that a page begins where the row (outcome, id) says.
CREATE INDEX runs_by_outcome ON paramedic.runs (outcome DESC, id DESC) WHERE outcome IS NOT NULL;
CREATE INDEX runs_by_playbook ON paramedic.runs (playbook, id DESC);
CREATE INDEX runs_by_target ON paramedic.runs (target, id DESC);

-- `event` is json, not jsonb: its exact text is what the hash covers.
CREATE TABLE paramedic.run_events (
  run_id    uuid NOT NULL REFERENCES paramedic.runs (id),
  seq       integer NOT NULL CHECK (seq > 0),
  event     json NOT NULL,
  prev_hash bytea NOT NULL,
  hash      bytea NOT NULL,
  PRIMARY KEY (run_id, seq)
);
CREATE FUNCTION paramedic.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'paramedic.% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON paramedic.run_events
  FOR EACH STATEMENT EXECUTE FUNCTION paramedic.refuse_change();

CREATE TABLE paramedic.approvals (
  id           uuid PRIMARY KEY,
  run_id       uuid NOT NULL REFERENCES paramedic.runs (id),
  step         text NOT NULL,
  digest       text NOT NULL,
  -- json, not jsonb: it keeps whatever text an action puts into a line, half a surrogate pair too.
  effects      json NOT NULL,
  reasons      json NOT NULL,
  at_least     integer NOT NULL CHECK (at_least > 0),
  -- Who asked for the run: they may not approve it.
  requested_by text,
  state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'approved', 'declined', 'expired', 'voided')),
  decisions    jsonb NOT NULL DEFAULT '[]',
  requested_at timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  decided_at   timestamptz
);
CREATE INDEX approvals_of_run ON paramedic.approvals (run_id);
CREATE INDEX approvals_pending ON paramedic.approvals (id) WHERE state = 'pending';

CREATE TABLE paramedic.target_locks (
  lock_key text PRIMARY KEY,
  run_id   uuid NOT NULL,
  since    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX target_locks_of_run ON paramedic.target_locks (run_id);

-- The first change of each run: what budgets and cool-downs count.
CREATE TABLE paramedic.changes (
  run_id   uuid PRIMARY KEY,
  playbook text NOT NULL,
  target   text NOT NULL,
  at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX changes_counted ON paramedic.changes (playbook, target, at);

-- The kill switch. No row reads as paused: what cannot be read stops everything.
CREATE TABLE paramedic.switches (
  name   text PRIMARY KEY,
  paused boolean NOT NULL,
  reason text,
  by     text,
  since  timestamptz NOT NULL DEFAULT now(),
  until  timestamptz
);
INSERT INTO paramedic.switches (name, paused) VALUES ('automation', false);
CREATE FUNCTION paramedic.paused() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT paused AND (until IS NULL OR until > now()) FROM paramedic.switches WHERE name = 'automation'), true)
$$;
