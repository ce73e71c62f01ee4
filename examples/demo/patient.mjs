/** The patient: a Postgres server of its own, Paramedic's role in it, and six sessions of which three are the trouble. */

import { randomBytes } from "node:crypto";
import pg from "pg";
import { startEmbedded } from "../../dist/store/embedded.js";

const database = "youtility3";

/** Starts the server in `folder`, with tables, the application's role and a role for Paramedic that may do just enough. */
export async function startPatient(folder) {
  const server = await startEmbedded(folder);
  const adminUrl = await server.createDatabase(database);
  const urlOf = (user, password) => {
    const url = new URL(adminUrl);
    url.username = user;
    url.password = password;
    return url.href;
  };
  const [appPassword, paramedicPassword] = [secret(), secret()];
  const admin = await connect(adminUrl, "demo");
  await admin.query(`
    CREATE ROLE youtility3 LOGIN PASSWORD '${appPassword}';
    CREATE ROLE paramedic LOGIN PASSWORD '${paramedicPassword}'
      NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 10
      IN ROLE pg_read_all_stats, pg_signal_backend;
    CREATE TABLE ticket (id int); CREATE TABLE asset (id int); CREATE TABLE attendance (id int);
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO youtility3`);
  return {
    admin,
    address: new URL(adminUrl).host,
    appUrl: urlOf("youtility3", appPassword),
    adminUrl,
    paramedicUrl: urlOf("paramedic", paramedicPassword),
    stop: async () => {
      await admin.end();
      await server.stop();
    },
  };
}

/** Opens the six sessions; `wanted` is what should become of each, in the words of `examine`. */
export async function openSessions(patient) {
  const hours = (name) => `SELECT count(*), pg_sleep(7200) FROM ${name}`;
  const long = (name) => session(patient.appUrl, { user: "youtility3", sql: hours(name), does: "runs for two hours" });
  const sessions = [];
  for (const name of ["ticket", "asset", "attendance"]) sessions.push({ ...(await long(name)), wanted: "cancelled" });
  for (const one of sessions) one.start();
  const startedAt = Date.now();

  const short = await session(patient.appUrl, {
    user: "youtility3",
    sql: "SELECT count(*) FROM ticket",
    does: "short, again and again",
  });
  const timer = setInterval(() => short.start(), 250);
  const idle = await session(patient.appUrl, { user: "youtility3", sql: "", does: "idle" });
  const superuser = await session(patient.adminUrl, {
    user: "postgres",
    sql: hours("pg_class"),
    does: "a superuser's, runs for two hours",
  });
  superuser.start();
  sessions.push(
    { ...short, wanted: "still there" },
    { ...idle, wanted: "still there" },
    { ...superuser, wanted: "still running" },
  );
  return {
    sessions,
    startedAt,
    close: async () => {
      clearInterval(timer);
      // A sleeping query does not notice that its client has gone.
      await patient.admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY($1)", [
        sessions.map(({ pid }) => pid),
      ]);
      await Promise.all(sessions.map((one) => one.end()));
    },
  };
}

/** Looks in the server itself, without Paramedic, at what became of each session, in one or two words. */
export async function examine(patient, sessions) {
  const { rows } = await patient.admin.query(
    "SELECT pid, backend_start::text AS since, state FROM pg_stat_activity WHERE pid = ANY($1)",
    [sessions.map(({ pid }) => pid)],
  );
  return sessions.map((one) => {
    const row = rows.find(({ pid, since }) => pid === one.pid && since === one.since);
    if (!row) return "gone";
    if (one.cancelled()) return "cancelled";
    return row.state === "active" && one.sql.includes("pg_sleep") ? "still running" : "still there";
  });
}

async function session(url, { user, sql, does }) {
  const client = await connect(url, user === "postgres" ? "psql" : "gunicorn");
  const { rows } = await client.query(
    "SELECT pid, backend_start::text AS since FROM pg_stat_activity WHERE pid = pg_backend_pid()",
  );
  let cancelled = false;
  return {
    ...rows[0],
    user,
    sql,
    does,
    start: () => {
      client.query(sql).catch((error) => {
        // query_canceled
        cancelled ||= error.code === "57014";
      });
    },
    cancelled: () => cancelled,
    end: () => client.end().catch(() => {}),
  };
}

async function connect(url, application) {
  const client = new pg.Client({
    connectionString: url,
    application_name: application,
    connectionTimeoutMillis: 10_000,
  });
  // A session that is ended from outside must not end the demo.
  client.on("error", () => {});
  await client.connect();
  return client;
}

function secret() {
  return randomBytes(24).toString("hex");
}
