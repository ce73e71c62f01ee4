-- What is due is looked for way by way, so that one with much to do does not keep the others waiting.

CREATE INDEX outbox_due_by_way ON paramedic.outbox (way, due_at)
  WHERE state IN ('waiting', 'following') AND due_at IS NOT NULL;
DROP INDEX paramedic.outbox_due;

-- Whether the last attempt failed for no other reason than that the other side takes no more for the moment.
ALTER TABLE paramedic.outbox ADD COLUMN throttled boolean NOT NULL DEFAULT false;
