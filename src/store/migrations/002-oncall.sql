-- Who is told what, when: escalations with their next level, and the outbox with everything that is said to people.

CREATE TABLE paramedic.escalations (
  run_id          uuid PRIMARY KEY REFERENCES paramedic.runs (id),
  policy          text NOT NULL,
  began_at        timestamptz NOT NULL DEFAULT now(),
  -- Counted from 0; the levels themselves are in the configuration.
  next_level      integer NOT NULL DEFAULT 0,
  -- When the next level is due; null: there is none.
  due_at          timestamptz DEFAULT now(),
  acknowledged_by text,
  acknowledged_at timestamptz
);
CREATE INDEX escalations_due ON paramedic.escalations (due_at) WHERE due_at IS NOT NULL AND acknowledged_at IS NULL;

CREATE TABLE paramedic.outbox (
  id           uuid PRIMARY KEY,
  run_id       uuid NOT NULL REFERENCES paramedic.runs (id),
  way          text NOT NULL,
  policy       text NOT NULL,
  level        integer NOT NULL,
  state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead', 'withdrawn')),
  attempts     integer NOT NULL DEFAULT 0,
  due_at       timestamptz NOT NULL DEFAULT now(),
  -- While somebody delivers it, nobody else does.
  lease_until  timestamptz,
  last_error   text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  settled_at   timestamptz,
  UNIQUE (run_id, way, policy, level)
);
CREATE INDEX outbox_due ON paramedic.outbox (due_at) WHERE state = 'waiting';
CREATE INDEX outbox_dead ON paramedic.outbox (id) WHERE state = 'dead';
