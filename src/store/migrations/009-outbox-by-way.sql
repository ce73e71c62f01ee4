-- What is due is looked for way by way, so that one with much to do does not keep the others waiting.

CREATE INDEX outbox_due_by_way ON paramedic.outbox (way, due_at)
  WHERE state IN ('waiting', 'following') AND due_at IS NOT NULL;
DROP INDEX paramedic.outbox_due;
