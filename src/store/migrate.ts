/** Brings Paramedic's own schema up to date: numbered SQL files, each applied once, under an advisory lock. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";

const folder = fileURLToPath(new URL("./migrations", import.meta.url));
/** Any number, as long as it is always the same: "PARA" in ASCII. */
const lockKey = 0x50415241;

/**
 * Applies the migrations that the database at `url` does not have yet and returns their names.
 * Any number of processes may do this at once: one works, the others wait for it.
 * @throws when the database cannot be reached, or has a migration this version does not know.
 */
export async function migrate(url: string): Promise<readonly string[]> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "paramedic migrate",
    connectionTimeoutMillis: 10_000,
  });
  client.on("error", () => {});
  await client.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [lockKey]);
    await client.query("CREATE SCHEMA IF NOT EXISTS paramedic");
    await client.query(
      "CREATE TABLE IF NOT EXISTS paramedic.migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
    );
    return await applyMissing(client);
  } finally {
    await client.end();
  }
}

/** How long a start waits for its Postgres, which may be starting too. */
const reachableWithinMs = 60_000;

/** The same at a start: waits for a Postgres that is not there yet, and says so. */
export async function migrateWhenReachable(
  url: string,
  log: { warn(fields: object, message: string): void },
): Promise<readonly string[]> {
  const giveUpAt = performance.now() + reachableWithinMs;
  for (;;) {
    try {
      return await migrate(url);
    } catch (error) {
      if (!isUnreachable(error) || performance.now() > giveUpAt) throw error;
      log.warn({ reason: (error as Error).message }, "Paramedic's own Postgres cannot be reached yet; trying again");
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

/**
 * No answer at all, or one that says to come again: a connection was lost (class 08), there are too many (53300), or the
 * server is starting or stopping (57P). What a migration was refused for, it is refused for again.
 */
function isUnreachable(error: unknown): boolean {
  const { code, message = "" } = (error instanceof Error && error.cause ? error.cause : error) as {
    code?: unknown;
    message?: string;
  };
  if (typeof code === "string") return /^(ECONN|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOST|EPIPE|08|53300|57P)/.test(code);
  // The words of the driver, which has no codes of its own.
  return error instanceof AggregateError || /^(timeout expired|Connection terminated)/.test(message);
}

async function applyMissing(client: pg.Client): Promise<readonly string[]> {
  const known = readdirSync(folder)
    .filter((name) => name.endsWith(".sql"))
    .sort();
  const { rows } = await client.query<{ name: string }>("SELECT name FROM paramedic.migrations");
  const applied = new Set(rows.map((row) => row.name));
  const strange = [...applied].filter((name) => !known.includes(name));
  if (strange.length > 0) {
    throw new Error(
      `the database was migrated by a newer Paramedic (${strange.join(", ")}); start that version, or restore a backup from before`,
    );
  }
  const missing = known.filter((name) => !applied.has(name));
  for (const name of missing) {
    await client.query("BEGIN");
    try {
      await client.query(readFileSync(join(folder, name), "utf8"));
      await client.query("INSERT INTO paramedic.migrations (name) VALUES ($1)", [name]);
      await client.query("COMMIT");
    } catch (error) {
      // Where the connection is lost, that is what went wrong, and not that nothing can be asked on it.
      await client.query("ROLLBACK").catch(() => {});
      throw new Error(`migration ${name} failed: ${(error as Error).message}`, { cause: error });
    }
  }
  return missing;
}
