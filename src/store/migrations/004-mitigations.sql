-- Temporary changes in force, with the plan that reverts them; and runs whose next step must be done on one host.

CREATE TABLE paramedic.mitigations (
  id           uuid PRIMARY KEY,
  run_id       uuid NOT NULL REFERENCES paramedic.runs (id),
  step         text NOT NULL,
  action       text NOT NULL,
  -- What no two mitigations change without knowing of each other: the target, or the playbook where there is none.
  lock_key     text NOT NULL,
  -- json, not jsonb: it keeps whatever an action puts into it.
  plan         json NOT NULL,
  effects      json NOT NULL,
  -- kept: somebody decided that it stays.
  state        text NOT NULL DEFAULT 'in-force'
               CHECK (state IN ('in-force', 'reverting', 'reverted', 'kept', 'failed')),
  -- When it is put back by itself; null: not by time.
  revert_at    timestamptz,
  on_resolved  boolean NOT NULL,
  began_at     timestamptz NOT NULL DEFAULT now(),
  ended_at     timestamptz,
  -- Who had it put back early or kept, and why.
  decided_by   text,
  reason       text,
  -- The run that puts it back.
  revert_run   uuid
);
CREATE INDEX mitigations_due ON paramedic.mitigations (revert_at) WHERE state = 'in-force';
CREATE INDEX mitigations_of_run ON paramedic.mitigations (run_id);
CREATE INDEX mitigations_stacked ON paramedic.mitigations (lock_key, action, id) WHERE state <> 'reverted';

-- Null: any worker may take the run.
ALTER TABLE paramedic.runs ADD COLUMN host text, ADD COLUMN host_since timestamptz;
CREATE INDEX runs_left_for_hosts ON paramedic.runs (host_since) WHERE host IS NOT NULL;
-- Mitigations start runs too.
ALTER TABLE paramedic.runs DROP CONSTRAINT runs_trigger_check;
ALTER TABLE paramedic.runs ADD CONSTRAINT runs_trigger_check
  CHECK (trigger IN ('alert', 'request', 'schedule', 'mitigation'));
