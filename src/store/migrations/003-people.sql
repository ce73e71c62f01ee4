-- Everything that is told to people: levels of escalations, messages that follow their run, clicks, and recoveries.

-- A message is told once, or told and then brought up to date while its run goes on (`following`).
ALTER TABLE paramedic.outbox DROP CONSTRAINT outbox_state_check;
ALTER TABLE paramedic.outbox ADD CONSTRAINT outbox_state_check
  CHECK (state IN ('waiting', 'following', 'delivered', 'dead', 'withdrawn'));
ALTER TABLE paramedic.outbox
  ADD COLUMN topic     text NOT NULL DEFAULT 'handed-over',
  -- Where it was told: a channel and a message there, the id of something on a status page.
  ADD COLUMN place     jsonb,
  -- The last event of the run that what was told takes into account.
  ADD COLUMN shown_seq integer NOT NULL DEFAULT 0,
  -- Raised by each deliverer that takes it, so that a late one changes nothing.
  ADD COLUMN fence     integer NOT NULL DEFAULT 0,
  -- How often it was taken since it was last settled: more than once where whoever had it stopped.
  ADD COLUMN taken     integer NOT NULL DEFAULT 0,
  -- Null: it follows its run, and nothing new is to be told.
  ALTER COLUMN due_at DROP NOT NULL;
ALTER TABLE paramedic.outbox DROP CONSTRAINT outbox_run_id_way_policy_level_key;
-- What exactly it is about, where a topic alone does not say: the approval that could not be asked for.
ALTER TABLE paramedic.outbox ADD COLUMN about text NOT NULL DEFAULT '';
ALTER TABLE paramedic.outbox ADD CONSTRAINT outbox_said_once UNIQUE (run_id, topic, about, way, policy, level);
DROP INDEX paramedic.outbox_due;
CREATE INDEX outbox_due ON paramedic.outbox (due_at) WHERE state IN ('waiting', 'following') AND due_at IS NOT NULL;

ALTER TABLE paramedic.escalations
  -- Why: handed-over, held, approval-unasked.
  ADD COLUMN topic        text NOT NULL DEFAULT 'handed-over',
  ADD COLUMN about        text NOT NULL DEFAULT '',
  -- Since when no worker that looked knew the policy; null: the last one did.
  ADD COLUMN unknown_since timestamptz,
  -- Not yet begun: it begins at due_at unless the run is over by then.
  ADD COLUMN held         boolean NOT NULL DEFAULT false,
  -- The alert resolved and the playbook's checks held again: nobody need be told any more.
  ADD COLUMN recovered_at timestamptz,
  -- When the checks are to be measured, after the alert resolved; null: not.
  ADD COLUMN recheck_at   timestamptz,
  -- The host whose worker must measure; null: any may look.
  ADD COLUMN recheck_host text,
  ADD COLUMN rechecks     integer NOT NULL DEFAULT 0;
CREATE INDEX escalations_recheck ON paramedic.escalations (recheck_at) WHERE recheck_at IS NOT NULL;

-- A run also waits for its announcement, and for the time between that and its first change.
ALTER TABLE paramedic.runs DROP CONSTRAINT runs_waiting_for_check;
ALTER TABLE paramedic.runs ADD CONSTRAINT runs_waiting_for_check CHECK (waiting_for IN
  ('approval', 'verification', 'target', 'switch', 'retry', 'worker', 'announcement', 'lead-time'));

ALTER TABLE paramedic.approvals
  -- The sets of approvers that each must be in.
  ADD COLUMN approvers text[] NOT NULL DEFAULT '{}',
  -- When people were asked; null: they could not be asked yet.
  ADD COLUMN asked_at  timestamptz,
  -- When it was given to the escalation because nobody could be asked.
  ADD COLUMN unasked_at timestamptz;

-- What people pressed in Slack: a row before anything is made of it, so that no click is lost or counted twice.
CREATE TABLE paramedic.clicks (
  -- Slack's own identification of one press by one person.
  key         text PRIMARY KEY,
  click       jsonb NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  lease_until timestamptz,
  handled_at  timestamptz
);
CREATE INDEX clicks_handled ON paramedic.clicks (handled_at) WHERE handled_at IS NOT NULL;
CREATE INDEX clicks_unhandled ON paramedic.clicks (received_at) WHERE handled_at IS NULL;
