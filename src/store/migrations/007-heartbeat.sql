-- The heartbeat to the outside: one row, which says whose turn it is and when it was last heard.

CREATE TABLE paramedic.heartbeat (
  is_it   boolean PRIMARY KEY DEFAULT true CHECK (is_it),
  -- Nobody sends before this time.
  next_at timestamptz NOT NULL DEFAULT now(),
  sent_at timestamptz
);
INSERT INTO paramedic.heartbeat DEFAULT VALUES;
