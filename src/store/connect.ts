/** The connection pools to Paramedic's own Postgres: one for its work, small ones for people and their clicks, each with deadlines. */

import pg from "pg";

export interface Database {
  /** For webhooks and runs. */
  readonly pool: pg.Pool;
  /** For people: approvals, the kill switch and reads never queue behind a flood of alerts. */
  readonly people: pg.Pool;
  /** For clicks that Slack waits for: to store one never queues behind what is made of those before it. */
  readonly clicks: pg.Pool;
  close(): Promise<void>;
}

export interface ConnectOptions {
  readonly connections?: number;
  /** Told of errors of idle connections; the pool replaces them by itself. */
  readonly onIdleError?: (error: Error) => void;
}

const deadlines = {
  connectionTimeoutMillis: 1_500,
  // The server gives up first, so that its answer arrives before the client stops waiting for it.
  statement_timeout: 4_500,
  query_timeout: 5_000,
  idle_in_transaction_session_timeout: 10_000,
  keepAlive: true,
};

/**
 * A statement is planned once for a connection, maybe while a table is still empty or before its statistics know what it
 * holds. There is an index for whatever is looked for all the time, so that none need read a grown table whole; and to
 * compile a statement takes longer than to carry it out.
 */
const planning = "-c enable_seqscan=off -c jit=off";
/** To plan for each call how to look up these very ids takes as long as to look them up. */
const once = "-c plan_cache_mode=force_generic_plan";

/** Opens the pools; connections are made when they are first needed. */
export function connect(url: string, options: ConnectOptions = {}): Database {
  const onIdleError = options.onIdleError ?? (() => {});
  const pool = new pg.Pool({
    connectionString: url,
    application_name: "paramedic",
    max: options.connections ?? 8,
    options: `${planning} ${once}`,
    ...deadlines,
  });
  const people = new pg.Pool({
    connectionString: url,
    application_name: "paramedic people",
    max: 4,
    options: planning,
    ...deadlines,
  });
  const clicks = new pg.Pool({ connectionString: url, application_name: "paramedic clicks", max: 2, ...deadlines });
  const all = [pool, people, clicks];
  for (const one of all) one.on("error", onIdleError);
  return {
    pool,
    people,
    clicks,
    close: async () => {
      await Promise.all(all.map((one) => one.end()));
    },
  };
}

/** Runs `work` in one transaction; any error rolls it back and is thrown again. */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // A connection that breaks says so to its statement, and once more in an event, which would end the process.
  const onError = (error: Error) => {
    broken = error;
  };
  client.on("error", onError);
  try {
    await client.query("BEGIN");
    const result = await work(client);
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK").catch((rollback: Error) => {
      broken = rollback;
    });
    throw error;
  } finally {
    client.off("error", onError);
    client.release(broken);
  }
}
