/** Runs one statement of maintenance: it waits for locks only briefly, so that nobody waits behind it for longer. */

import { setTimeout as pause } from "node:timers/promises";
import type { ActionContext, Failure } from "../../domain/action.ts";
import { lasting, passing } from "../failure.ts";
import type { Session, SessionOptions } from "./connect.ts";
import { shorten } from "./query-text.ts";

/** For statements that let others read and write meanwhile. They take as long as they need; the signal ends them. */
export const gentleSession: SessionOptions = {
  writes: true,
  statementTimeoutMs: 0,
  lockTimeoutMs: 2_000,
  callTimeoutMs: null,
};

/**
 * For statements that are CONCURRENTLY: these wait for transactions, while nobody waits behind them. What is interrupted
 * there leaves something behind, so they wait longer.
 */
export const concurrentSession: SessionOptions = { ...gentleSession, lockTimeoutMs: 30_000 };

/** For statements that lock a table against everybody. Readers wait behind them for this long and no longer. */
export function exclusiveSession(longestMs: number): SessionOptions {
  return { writes: true, statementTimeoutMs: longestMs, lockTimeoutMs: 500, callTimeoutMs: null };
}

const turns = 3;
const pauseMs = 1_000;

/** Null where the statement ran; otherwise why it did not. `retryable`: the table was busy. */
export async function maintain(session: Session, statement: string, subject: string): Promise<Failure | null> {
  const before = session.warnings.length;
  const ran = await session.attempt(statement);
  if (!ran.ok) return failureOf(ran, subject);
  const warning = session.warnings[before];
  if (warning === undefined) return null;
  return lasting(`The server left out ${subject}: ${shorten(warning, 200)}`);
}

/** The same, up to three times while the table is busy, with pauses that differ, so that nothing waits in step. */
export async function maintainPatiently(
  session: Session,
  statement: string,
  subject: string,
  context: ActionContext,
): Promise<Failure | null> {
  for (let turn = 1; ; turn++) {
    const failure = await maintain(session, statement, subject);
    if (!failure?.retryable || turn === turns) return failure;
    context.log.info({ subject, turn }, "a table is busy; trying again shortly");
    await pause(pauseMs * turn * (0.5 + Math.random()), undefined, { signal: context.signal }).catch(() => undefined);
    if (context.signal.aborted) return failure;
  }
}

function failureOf({ sqlState, message }: { sqlState: string; message: string }, subject: string): Failure {
  switch (sqlState) {
    case "55P03":
    case "40P01":
      return passing(`${subject} is busy: a lock was not free in time. Look who holds it (postgres.activity).`);
    case "57014":
      return lasting(
        `The maintenance of ${subject} was cancelled, or its time was up. Look at what it left, and plan it anew.`,
      );
    case "42501":
      return lasting(
        `Paramedic's role has not the rights that the maintenance of ${subject} needs: those of its owner.`,
      );
    case "53100":
      return lasting(`The server's disk is full, so the maintenance of ${subject} failed. Make room first.`);
    default:
      return lasting(
        `The server refused the maintenance of ${subject} (SQLSTATE ${sqlState}): ${shorten(message, 200)}`,
      );
  }
}
