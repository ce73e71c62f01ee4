/**
 * Stores what Alertmanager told: opens, repeats and closes episodes and creates their runs, alert by alert.
 * Concurrent notifications share their statements. A flood takes as many statements more as it has slices, each of which
 * the store can carry out in its time.
 */

import type pg from "pg";
import { batched } from "./batch.ts";
import { close, supersede, tellRuns } from "./close-episodes.ts";
import { type Database, inTransaction } from "./connect.ts";
import { type IncomingAlert, keyOf, mostInOneStatement, type Received } from "./incoming.ts";
import { lockOpen, open } from "./open-episodes.ts";

export type Receive = (alerts: readonly IncomingAlert[]) => Promise<readonly Received[]>;

const mostDeliveriesInOne = 64;
/** Beyond this, Alertmanager is asked to come again: their answers would be late anyway. */
const mostDeliveriesWaiting = 2_000;
/** Those that are larger go by themselves, one after the other, so that no other one waits for them. */
const mostLargeWaiting = 8;
/** How often a notification that met another one about the same alerts is stored anew. */
const mostTries = 4;

/**
 * Makes the function that stores notifications. One call is one notification and is stored whole or not at all, but for
 * an alert that Postgres itself refuses: it is answered `invalid` and costs the others nothing.
 */
export function createReceive(database: Database, now: () => number): Receive {
  const together = storeTogether(database, now);
  const alone = storeAlone(database, now);
  return async (alerts) => {
    try {
      return await (alerts.length > mostInOneStatement ? alone : together)(alerts);
    } catch (error) {
      if (!isDataException(error)) throw error;
      return await storeEach(database.pool, alerts, now);
    }
  };
}

/** SQLSTATE class 22: a value that passed our checks and still is none to Postgres. */
function isDataException(error: unknown): boolean {
  return ((error as { code?: string }).code ?? "").startsWith("22");
}

async function storeEach(
  pool: pg.Pool,
  alerts: readonly IncomingAlert[],
  now: () => number,
): Promise<readonly Received[]> {
  const answers: Received[] = [];
  for (const alert of alerts) {
    try {
      answers.push(...(await storeAgain(pool, [alert], now)));
    } catch (error) {
      if (!isDataException(error)) throw error;
      answers.push({ kind: "ignored", reason: "invalid" });
    }
  }
  return answers;
}

/** Concurrent notifications share their statements. */
function storeTogether(database: Database, now: () => number): Receive {
  return batched<readonly IncomingAlert[], readonly Received[]>(
    async (deliveries) => {
      const results = await storeAgain(database.pool, deliveries.flat(), now);
      let from = 0;
      return deliveries.map((delivery) => {
        const part = results.slice(from, from + delivery.length);
        from += delivery.length;
        return part;
      });
    },
    { lanes: 2, most: mostDeliveriesInOne, mostWaiting: mostDeliveriesWaiting },
  );
}

function storeAlone(database: Database, now: () => number): Receive {
  return batched<readonly IncomingAlert[], readonly Received[]>(
    ([alerts = []]) => storeAgain(database.pool, alerts, now).then((answers) => [answers]),
    { lanes: 1, most: 1, mostWaiting: mostLargeWaiting },
  );
}

/**
 * Stores; once more where a concurrent notification came in between. Both Alertmanagers of a pair may tell of the same
 * alerts at the same moment, one that they fire and one that they are over: what one saw is then no longer so when it
 * may write (unique_violation), or both wait for each other (deadlock_detected).
 */
async function storeAgain(
  pool: pg.Pool,
  alerts: readonly IncomingAlert[],
  now: () => number,
): Promise<readonly Received[]> {
  for (let tries = 1; ; tries++) {
    try {
      return await store(pool, alerts, now);
    } catch (error) {
      const met = ["23505", "40P01"].includes((error as { code?: string }).code ?? "");
      if (!met || tries === mostTries) throw error;
    }
  }
}

async function store(pool: pg.Pool, alerts: readonly IncomingAlert[], now: () => number): Promise<readonly Received[]> {
  if (alerts.length === 0) return [];
  const answers = new Map<IncomingAlert, Received>();
  const at = new Date(now()).toISOString();
  const slices = slicesOf(alerts);
  const isSimple = slices.length === 1 && alerts.every((one) => one.alert.status === "firing");
  const superseding = isSimple ? await open(pool, alerts, at, answers) : null;
  if (superseding === null || superseding.length > 0) {
    await inTransaction(pool, async (client) => {
      const over: string[] = [];
      for (const slice of slices) over.push(...(await storeSlice(client, slice, at, answers, superseding)));
      await tellRuns(client, over);
    });
  }
  return alerts.map((one) => answers.get(one) ?? { kind: "ignored", reason: "late-duplicate" });
}

/** What one statement can store at a time, in the order in which episodes are locked. All that is told of an alert stays together. */
function slicesOf(alerts: readonly IncomingAlert[]): readonly (readonly IncomingAlert[])[] {
  if (alerts.length <= mostInOneStatement) return [alerts];
  const keyed = alerts.map((one) => ({ one, key: keyOf(one) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const slices: IncomingAlert[][] = [];
  let last: string | null = null;
  for (const { one, key } of keyed) {
    const slice = slices.at(-1);
    if (!slice || (slice.length >= mostInOneStatement && key !== last)) slices.push([one]);
    else slice.push(one);
    last = key;
  }
  return slices;
}

/** Stores a slice in its transaction; `superseding` are its alerts whose open episode is an older firing, where that is known. Returns the episodes that are over. */
async function storeSlice(
  client: pg.PoolClient,
  alerts: readonly IncomingAlert[],
  at: string,
  answers: Map<IncomingAlert, Received>,
  superseding: readonly IncomingAlert[] | null,
): Promise<readonly string[]> {
  await lockOpen(client, alerts);
  const firing = alerts.filter((one) => one.alert.status === "firing");
  const resolved = alerts.filter((one) => one.alert.status === "resolved");
  const late = superseding ?? (await open(client, firing, at, answers));
  const over: string[] = [];
  if (late.length > 0) {
    over.push(...(await supersede(client, late)));
    await open(client, late, at, answers);
  }
  if (resolved.length > 0) {
    over.push(...(await close(client, resolved)));
    for (const one of resolved) answers.set(one, { kind: "ignored", reason: "resolved" });
  }
  return over;
}
