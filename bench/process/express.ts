/** The raw baseline of accepting: Express, its JSON parser, and one prepared statement that inserts the rows of a body. */

import type { AddressInfo } from "node:net";
import express from "express";
import pg from "pg";
import { newId } from "../../src/ids.ts";
import { answerQuestions } from "../talk.ts";

interface SentAlert {
  readonly fingerprint: string;
  readonly startsAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const insertSql = `
WITH told AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::jsonb[], $5::jsonb[], $6::uuid[], $7::text[], $8::text[])
    AS t(id, fingerprint, starts_at, labels, annotations, run_id, target, event)
), episodes AS (
  INSERT INTO paramedic.episodes (id, source, fingerprint, status, starts_at, labels, annotations)
  SELECT id, 'alertmanager', fingerprint, 'firing', starts_at, labels, annotations FROM told
), runs AS (
  INSERT INTO paramedic.runs (id, episode_id, playbook, playbook_hash, target, lock_key, trigger, last_seq, last_hash)
  SELECT run_id, id, 'benchmark', 'sha256:00', target, target, 'alert', 1, $9 FROM told
)
INSERT INTO paramedic.run_events (run_id, seq, event, prev_hash, hash) SELECT run_id, 1, event::json, $9, $9 FROM told`;

const hash = Buffer.alloc(32);
const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"], max: 8 });

const app = express();
app.use(express.json({ limit: "8mb" }));
app.post("/webhooks/alertmanager", async (request, response) => {
  const alerts: readonly SentAlert[] = request.body.alerts;
  const runs = alerts.map(() => newId());
  await pool.query({
    name: "insert",
    text: insertSql,
    values: [
      alerts.map(() => newId()),
      alerts.map((alert) => alert.fingerprint),
      alerts.map((alert) => alert.startsAt),
      alerts.map((alert) => JSON.stringify(alert.labels)),
      alerts.map((alert) => JSON.stringify(alert.annotations)),
      runs,
      alerts.map((alert) => alert.labels["service"]),
      alerts.map((alert) => JSON.stringify(createdEvent(alert))),
      hash,
    ],
  });
  response.json({ received: alerts.length, runs });
});

/** As large as the event that Paramedic stores. */
function createdEvent({ fingerprint, startsAt, labels, annotations }: SentAlert): object {
  return {
    at: new Date().toISOString(),
    type: "created",
    playbook: "benchmark",
    playbookHash: "sha256:00",
    target: labels["service"],
    trigger: { kind: "alert", source: "alertmanager", fingerprint, startsAt, labels, annotations, partial: false },
    inputs: {},
    dryRun: false,
  };
}

const server = await new Promise<ReturnType<typeof app.listen>>((resolve) => {
  const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
});

export const rawReceiver = answerQuestions({
  url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
});
