-- What of its own run ends a mitigation: 'verified', 'declined'. That the alert resolves stays in on_resolved.

ALTER TABLE paramedic.mitigations ADD COLUMN revert_on text[] NOT NULL DEFAULT '{}';
