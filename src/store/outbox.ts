/** The outbox: everything that is told to people is a row first, delivered at least once, in order per run and way. */

import type pg from "pg";
import { deliveryDelaysMs } from "../domain/escalation.ts";
import { type Database, inTransaction } from "./connect.ts";
import { appendFromOutside } from "./outside.ts";

/** A message in the hands of one deliverer, until its lease ends. */
export interface OutboxMessage {
  readonly id: string;
  readonly runId: string;
  readonly way: string;
  readonly policy: string;
  /** Counted from 0. */
  readonly level: number;
  /** With this one; from 1. */
  readonly attempts: number;
}

export interface Outbox {
  /** Takes what is due and nobody delivers, for `leaseMs`. */
  take(leaseMs: number): Promise<readonly OutboxMessage[]>;
  /** It was delivered to `to`, which the run's history says. */
  delivered(message: OutboxMessage, to: string): Promise<void>;
  /** It was not: it is tried again later, is a dead letter, or is withdrawn where somebody has acknowledged. Returns which. */
  failed(message: OutboxMessage, reason: string, retryable: boolean): Promise<"again" | "dead" | "withdrawn">;
  /** How many messages were given up. */
  dead(): Promise<number>;
}

export function createOutbox(database: Database): Outbox {
  const { pool } = database;
  return {
    take: async (leaseMs) => {
      const { rows } = await pool.query<TakenRow>(takeSql, [leaseMs / 1000]);
      return rows.map((row) => ({ ...row, runId: row.run_id }));
    },
    delivered: (message, to) =>
      inTransaction(pool, async (client) => {
        await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR UPDATE", [message.runId]);
        const { rowCount } = await client.query(
          `UPDATE paramedic.outbox SET state = 'delivered', settled_at = now(), lease_until = NULL, last_error = NULL
           WHERE id = $1 AND state = 'waiting' AND attempts = $2`,
          [message.id, message.attempts],
        );
        if (!rowCount) return;
        const happening = { type: "told", way: message.way, level: message.level + 1, to } as const;
        await appendFromOutside(client, [{ runId: message.runId, happening }], { evenEnded: true });
      }),
    failed: (message, reason, retryable) =>
      inTransaction(pool, async (client) => {
        // An acknowledgement locks the run too: it comes before this and is seen, or after and withdraws the message.
        await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR UPDATE", [message.runId]);
        if (await isAcknowledged(client, message.runId)) {
          await settle(client, message, "withdrawn", reason);
          return "withdrawn";
        }
        const delay = retryable ? deliveryDelaysMs[message.attempts - 1] : undefined;
        if (delay === undefined) {
          await giveUp(client, message, reason);
          return "dead";
        }
        await client.query(
          `UPDATE paramedic.outbox SET due_at = now() + make_interval(secs => $3), lease_until = NULL, last_error = $4
           WHERE id = $1 AND state = 'waiting' AND attempts = $2`,
          [message.id, message.attempts, delay / 1000, reason],
        );
        return "again";
      }),
    dead: async () => {
      const { rows } = await database.people.query<{ count: number }>(
        "SELECT count(*)::int AS count FROM paramedic.outbox WHERE state = 'dead'",
      );
      return rows[0]?.count ?? 0;
    },
  };
}

async function isAcknowledged(client: pg.PoolClient, runId: string): Promise<boolean> {
  const { rowCount } = await client.query(
    "SELECT FROM paramedic.escalations WHERE run_id = $1 AND acknowledged_at IS NOT NULL",
    [runId],
  );
  return rowCount === 1;
}

/** A dead letter: kept, counted, and told in the run's history. */
async function giveUp(client: pg.PoolClient, message: OutboxMessage, reason: string): Promise<void> {
  if (!(await settle(client, message, "dead", reason))) return;
  const happening = { type: "not-told", way: message.way, level: message.level + 1, reason } as const;
  await appendFromOutside(client, [{ runId: message.runId, happening }], { evenEnded: true });
}

/** Nobody tries any more. Returns whether the message was still this deliverer's. */
async function settle(
  client: pg.PoolClient,
  message: OutboxMessage,
  state: "dead" | "withdrawn",
  reason: string,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE paramedic.outbox SET state = $3, settled_at = now(), lease_until = NULL, last_error = $4
     WHERE id = $1 AND state = 'waiting' AND attempts = $2`,
    [message.id, message.attempts, state, reason],
  );
  return rowCount === 1;
}

interface TakenRow extends OutboxMessage {
  readonly run_id: string;
}

// First attempts go in order. What has failed once is out of the queue: a dead mailbox must not silence the next level.
const takeSql = `
UPDATE paramedic.outbox o SET lease_until = now() + make_interval(secs => $1), attempts = o.attempts + 1
WHERE o.id IN (
  SELECT w.id FROM paramedic.outbox w
  WHERE w.state = 'waiting' AND w.due_at <= now() AND (w.lease_until IS NULL OR w.lease_until <= now())
    AND NOT EXISTS (
      SELECT FROM paramedic.outbox e
      WHERE e.run_id = w.run_id AND e.way = w.way AND e.state = 'waiting' AND e.attempts = 0 AND e.id < w.id)
  ORDER BY w.due_at LIMIT 20 FOR UPDATE SKIP LOCKED)
RETURNING o.id, o.run_id, o.way, o.policy, o.level, o.attempts`;
