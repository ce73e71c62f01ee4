-- Which occurrence of each scheduled playbook was dealt with last, and one run for each at most.

CREATE TABLE paramedic.schedules (
  playbook text PRIMARY KEY,
  -- The last occurrence that was run, skipped or missed; at first, when the schedule was first seen.
  last_due timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE paramedic.runs ADD COLUMN scheduled_for timestamptz;
CREATE UNIQUE INDEX runs_of_schedule ON paramedic.runs (playbook, scheduled_for) WHERE scheduled_for IS NOT NULL;
CREATE INDEX runs_going_on ON paramedic.runs (playbook) WHERE state <> 'ended';
