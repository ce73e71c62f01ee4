/** How a message came out, with what follows from it: told in the run's history, tried again, given up. */

import type pg from "pg";
import { deliveryDelaysMs } from "../domain/escalation.ts";
import type { Followed } from "../domain/followed.ts";
import type { JsonObject } from "../domain/json.ts";
import type { Topic } from "../domain/topic.ts";
import { inTransaction } from "./connect.ts";
import type { OutboxMessage, Settled } from "./outbox-message.ts";
import { appendFromOutside } from "./outside.ts";

export function settle(pool: pg.Pool, message: OutboxMessage, followed: Followed): Promise<Settled> {
  // What brings a message up to date is most of it: the run's row is not kept from its worker for several round trips.
  if (followed.ok && followed.told === null) return succeed(pool, message, followed);
  return inTransaction(pool, async (client) => {
    if (!followed.ok) return fail(client, message, followed);
    const settled = await succeed(client, message, followed);
    if (settled === "done" && followed.told !== null)
      await say(client, message, {
        type: "told",
        to: followed.told,
        ...(followed.refused === undefined ? {} : { refused: followed.refused }),
      });
    return settled;
  });
}

/** In one statement. */
async function succeed(
  client: pg.Pool | pg.PoolClient,
  message: OutboxMessage,
  { place, shownSeq, done }: Extract<Followed, { ok: true }>,
): Promise<"done" | "lost"> {
  const { rowCount } = await client.query({
    name: "paramedic-settle-message",
    text: succeedSql,
    values: [
      message.id,
      message.fence,
      message.runId,
      done ? "delivered" : "following",
      place,
      shownSeq,
      askedIn(place),
    ],
  });
  return rowCount ? "done" : "lost";
}

async function fail(
  client: pg.PoolClient,
  message: OutboxMessage,
  followed: Extract<Followed, { ok: false }>,
): Promise<Settled> {
  const { place, shownSeq, reason, retryable, retryAfterMs = 0, throttled = false } = followed;
  await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR NO KEY UPDATE", [message.runId]);
  // An acknowledgement holds the run too: it comes before this and is seen, or after and withdraws the message.
  if (shownSeq === 0 && (await isAcknowledged(client, message))) return withdraw(client, message, reason);
  const wasTold = shownSeq > 0;
  // Whoever says when to come back is taken at their word, and has not refused the message.
  const putOff = throttled && retryAfterMs > 0;
  const usual = retryable ? deliveryDelaysMs[message.attempts - 1] : undefined;
  const delay = usual && (putOff ? retryAfterMs : Math.max(usual, retryAfterMs));
  const state = nextState(delay !== undefined, wasTold, retryable);
  const { rowCount } = await client.query(
    `UPDATE paramedic.outbox
     SET state = $3, taken = 0, place = $4, shown_seq = $5, lease_until = NULL, last_error = $6, throttled = $8,
         attempts = CASE WHEN $9 AND created_at > now() - ${putOffFor} THEN attempts - 1 ELSE attempts END,
         due_at = CASE WHEN $7::float8 IS NOT NULL THEN now() + make_interval(secs => $7) END,
         settled_at = CASE WHEN $7::float8 IS NULL THEN now() END
     WHERE id = $1 AND fence = $2 AND state IN ('waiting', 'following')`,
    [message.id, message.fence, state, place, shownSeq, reason, delay ? delay / 1000 : null, throttled, putOff],
  );
  if (!rowCount) return "lost";
  await markAsked(client, place);
  if (delay !== undefined) return "again";
  if (wasTold) return state === "dead" ? "dead" : "given-up";
  await say(client, message, { type: "not-told", reason });
  return "dead";
}

/** For so long a message is put off without an attempt; a place that takes nothing for longer is one that fails. */
const putOffFor = "interval '1 hour'";

async function isAcknowledged(client: pg.PoolClient, message: OutboxMessage): Promise<boolean> {
  if (!escalationTopics.has(message.topic)) return false;
  const { rowCount } = await client.query(
    "SELECT FROM paramedic.escalations WHERE run_id = $1 AND acknowledged_at IS NOT NULL",
    [message.runId],
  );
  return rowCount === 1;
}

const escalationTopics: ReadonlySet<Topic> = new Set(["handed-over", "held", "approval-unasked"]);

export async function withdraw(
  client: pg.Pool | pg.PoolClient,
  message: OutboxMessage,
  reason: string,
): Promise<"withdrawn" | "lost"> {
  const { rowCount } = await client.query(
    `UPDATE paramedic.outbox SET state = 'withdrawn', settled_at = now(), lease_until = NULL, last_error = $3
     WHERE id = $1 AND fence = $2 AND state IN ('waiting', 'following')`,
    [message.id, message.fence, reason],
  );
  return rowCount ? "withdrawn" : "lost";
}

/** What was told once and cannot be brought up to date for good is over; what was tried in vain is a dead letter. */
function nextState(
  again: boolean,
  wasTold: boolean,
  retryable: boolean,
): "waiting" | "following" | "delivered" | "dead" {
  if (again) return wasTold ? "following" : "waiting";
  return wasTold && !retryable ? "delivered" : "dead";
}

/** The place of a run's own message names the approval that people can see there. */
function askedIn(place: JsonObject | null): string | null {
  const asked = place?.["asked"];
  return typeof asked === "string" ? asked : null;
}

async function markAsked(client: pg.PoolClient, place: JsonObject | null): Promise<void> {
  const asked = askedIn(place);
  if (asked === null) return;
  await client.query("UPDATE paramedic.approvals SET asked_at = now() WHERE id = $1 AND asked_at IS NULL", [asked]);
}

/** Adds to the story who was told, or that nobody could be. */
async function say(
  client: pg.PoolClient,
  message: OutboxMessage,
  what:
    | { readonly type: "told"; readonly to: string; readonly refused?: string }
    | { readonly type: "not-told"; readonly reason: string },
): Promise<void> {
  const { runId, way, topic, about } = message;
  const happening = {
    ...what,
    way,
    topic,
    level: message.level + 1,
    ...(what.type === "told" && about !== "" ? { about } : {}),
  };
  await appendFromOutside(client, [{ runId, happening }], { evenEnded: true });
}

// Whoever adds to the history holds the run: what is shown is compared with a history that does not grow meanwhile.
const succeedSql = `
WITH held AS MATERIALIZED (
  SELECT r.last_seq FROM paramedic.runs r WHERE r.id = $3 FOR NO KEY UPDATE
), settled AS (
  UPDATE paramedic.outbox o
  SET state = $4, attempts = 0, taken = 0, place = $5, shown_seq = $6, lease_until = NULL, last_error = NULL,
      due_at = CASE WHEN $4 = 'following' AND held.last_seq > $6 THEN now() END, settled_at = now()
  FROM held
  WHERE o.id = $1 AND o.fence = $2 AND o.state IN ('waiting', 'following')
  RETURNING o.id
), asked AS (
  UPDATE paramedic.approvals SET asked_at = now()
  WHERE id = $7 AND asked_at IS NULL AND EXISTS (SELECT FROM settled)
)
SELECT id FROM settled`;
