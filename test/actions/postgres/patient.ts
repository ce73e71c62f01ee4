/** A database to heal, for tests: its application's role, Paramedic's role, and sessions that run real queries. */

import { randomBytes } from "node:crypto";
import { Client, type ClientConfig } from "pg";
import type { Target } from "../../../src/domain/target.ts";
import { type Databases, query } from "../../support/postgres.ts";
import { bareTarget, canary } from "../context.ts";

/** A session of its own and what has become of its last query. */
export interface Session {
  readonly pid: number;
  readonly client: Client;
  /** Starts a query without waiting for it. */
  start(sql: string): Running;
}

/** A query that was started: `running`, `done`, `lost` or the SQLSTATE it failed with (57014: cancelled). */
export interface Running {
  readonly state: string;
}

export interface Patient {
  /** The application's role. */
  readonly app: string;
  /** Paramedic's role, with `pg_read_all_stats` and `pg_signal_backend` only. */
  readonly healer: string;
  readonly database: string;
  readonly adminUrl: string;
  /** The target as configured: the healer's URL with the canary as password, and the allow-lists. */
  readonly target: Target;
  /** The same target at another port. */
  at(port: number): Target;
  urlOf(user: string, database?: string): string;
  admin(sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** Makes a role that can log in; `attributes` as in CREATE ROLE. */
  role(name: string, attributes?: string): Promise<string>;
  /** A session of the application unless said otherwise. */
  session(config?: ClientConfig): Promise<Session>;
  /** Closes every session that is still open. */
  closeSessions(): Promise<void>;
}

export async function createPatient(server: Databases): Promise<Patient> {
  const suffix = randomBytes(4).toString("hex");
  const database = new URL(server.url).pathname.slice(1);
  const admin: Patient["admin"] = (sql, values = []) => query(server.adminUrl, sql, values);
  const urlOf = (user: string, name = database, port = server.port) =>
    `postgres://${user}:${canary}@127.0.0.1:${port}/${name}`;
  const role: Patient["role"] = async (name, attributes = "") => {
    await admin(`CREATE ROLE ${name}_${suffix} LOGIN ${attributes}`);
    return `${name}_${suffix}`;
  };
  const app = await role("app");
  const healer = await role("healer", "IN ROLE pg_read_all_stats, pg_signal_backend");
  await query(server.url, `GRANT CREATE ON SCHEMA public TO ${app}`);
  const open = new Set<Session>();
  const targetAt = (port: number): Target => ({
    ...bareTarget,
    postgres: { url: urlOf(healer, database, port), users: [app], databases: [database] },
  });
  return {
    app,
    healer,
    database,
    adminUrl: server.adminUrl,
    target: targetAt(server.port),
    at: targetAt,
    urlOf,
    admin,
    role,
    session: async (config = {}) => {
      const session = await openSession({ connectionString: urlOf(app), ...config });
      open.add(session);
      return session;
    },
    closeSessions: async () => {
      for (const session of open) {
        // A sleeping query does not notice that its client has gone.
        await admin("SELECT pg_terminate_backend($1)", [session.pid]);
        await session.client.end();
      }
      open.clear();
    },
  };
}

async function openSession(config: ClientConfig): Promise<Session> {
  const client = new Client({ connectionTimeoutMillis: 10_000, ...config });
  client.on("error", () => {});
  await client.connect();
  return {
    pid: (client as unknown as { processID: number }).processID,
    client,
    start: (sql) => {
      const running = { state: "running" };
      client.query(sql).then(
        () => {
          running.state = "done";
        },
        (error: { code?: string }) => {
          running.state = error.code ?? "lost";
        },
      );
      return running;
    },
  };
}
