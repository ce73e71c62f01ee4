/**
 * One short-lived connection to a target's Postgres per call: bounded in time, closed when the signal aborts, and with
 * what can be expected to go wrong told as a Failure that names the server and never the password.
 */

import { Socket } from "node:net";
import { Client, DatabaseError } from "pg";
import type { ActionContext, Failure } from "../../domain/action.ts";
import { deadlineOf } from "../../domain/deadline.ts";
import type { PostgresTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";

const connectTimeoutMs = 5_000;
const mostWarnings = 200;
/** The SQLSTATE of a notice that is no warning. */
const successful = "00000";
const statementTimeoutMs = 10_000;
const lockTimeoutMs = 2_000;
/** The longest that one use of a connection may take as a whole, also where the server no longer answers at all. */
const callTimeoutMs = 30_000;
/** How often the server looks whether a session that works for Paramedic still has its client. */
export const clientCheckMs = 500;

/** Runs one statement and returns its rows. */
export type Query = <Row extends object>(text: string, values?: readonly unknown[]) => Promise<Row[]>;

/** How a session differs from the usual one, which only reads and is short. */
export interface SessionOptions {
  /** Another database of the same server. */
  readonly database?: string;
  /** Statements may write; each commits by itself. */
  readonly writes?: boolean;
  /** 0: none, for maintenance, which the signal ends. */
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  /** The longest that the session may take as a whole; null: as long as the signal lets it. */
  readonly callTimeoutMs?: number | null;
}

/** What a statement of which an error is expected came to. */
export type Attempt<Row> =
  | { readonly ok: true; readonly rows: readonly Row[] }
  | { readonly ok: false; readonly sqlState: string; readonly message: string };

/** A session beyond single statements. */
export interface Session {
  /**
   * Runs one statement by the extended protocol, which takes no second one, and returns an error of the server as a
   * value. Its message may quote foreign text. A lost connection ends `withClient`.
   */
  attempt<Row extends object>(text: string, values?: readonly unknown[]): Promise<Attempt<Row>>;
  /** The server's warnings so far, by which it says that it left something out. They may quote foreign text. */
  readonly warnings: readonly string[];
}

/** A failure that a query met, on its way to `withClient`. */
class QueryFailed extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.reason);
    this.failure = failure;
  }
}

/**
 * Connects to the Postgres of the context's target, runs `use` and disconnects. A missing or wrong configuration, an
 * unreachable server, a refused login and an aborted signal are returned as a Failure; an error in Paramedic's own SQL
 * is thrown.
 */
export async function withClient<T>(
  context: ActionContext,
  use: (query: Query, postgres: PostgresTarget, session: Session) => Promise<T>,
  options: SessionOptions = {},
): Promise<T | Failure> {
  const target = context.target;
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  const postgres = target.postgres;
  if (!postgres) return lasting(`The target ${target.name} has no database. Add postgres: to it in paramedic.yaml.`);
  if (postgres.users.length === 0 || postgres.databases.length === 0) {
    return lasting(`The target ${target.name} allows no user or no database. List them in its postgres: section.`);
  }
  const url = connectionUrl(postgres.url, options);
  if (!url) return lasting(`The postgres.url of the target ${target.name} is no postgres:// URL. Correct it.`);

  const longestMs = options.callTimeoutMs === undefined ? callTimeoutMs : options.callTimeoutMs;
  const { signal: deadline, release } = deadlineOf([context.signal], longestMs);
  const socket = new Socket();
  let client: Client;
  try {
    client = new Client({
      connectionString: url,
      connectionTimeoutMillis: connectTimeoutMs,
      stream: () => socket,
    });
  } catch {
    release();
    return lasting(`The postgres.url of the target ${target.name} cannot be used. Check its parameters and TLS files.`);
  }
  const where = `PostgreSQL of target ${target.name} (${client.host}:${client.port}, database ${client.database})`;
  const failed = (error: unknown) => describe(error, where, context.signal, deadline);

  // Errors reach the caller by the promises; without a listener a lost connection would end the process.
  client.on("error", () => {});
  const warnings: string[] = [];
  client.on("notice", ({ code, message }) => {
    if (code !== successful && warnings.length < mostWarnings) warnings.push(message ?? "");
  });
  const close = () => socket.destroy(new Error("aborted"));
  deadline.addEventListener("abort", close, { once: true });
  const query: Query = async (text, values = []) => {
    try {
      deadline.throwIfAborted();
      return (await client.query(text, [...values])).rows;
    } catch (error) {
      const failure = failed(error);
      if (failure) throw new QueryFailed(failure);
      throw error;
    }
  };
  const attempt: Session["attempt"] = async (text, values = []) => {
    try {
      deadline.throwIfAborted();
      const extended = { text, values: [...values], queryMode: "extended" };
      return { ok: true, rows: (await client.query(extended)).rows };
    } catch (error) {
      const sqlState = error instanceof DatabaseError && !deadline.aborted ? (error.code ?? "") : "";
      if (sqlState !== "" && !sqlState.startsWith("57P")) {
        return { ok: false, sqlState, message: wordsOf(error).message };
      }
      const failure = failed(error);
      if (failure) throw new QueryFailed(failure);
      throw error;
    }
  };
  try {
    deadline.throwIfAborted();
    await client.connect();
  } catch (error) {
    socket.destroy();
    const failure = failed(error);
    release();
    return failure ?? lasting(`${where}: ${loginError(error)}. Check postgres.url.`);
  }
  try {
    return await use(query, postgres, { attempt, warnings });
  } catch (error) {
    if (error instanceof QueryFailed) return error.failure;
    throw error;
  } finally {
    if (!socket.destroyed) await client.end();
    socket.destroy();
    release();
  }
}

/** The configured URL with Paramedic's own session settings, which win over any in the URL; null where it is none. */
function connectionUrl(configured: string, options: SessionOptions): string | null {
  if (!URL.canParse(configured)) return null;
  const url = new URL(configured);
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") return null;
  url.searchParams.set("application_name", "paramedic");
  url.searchParams.set("statement_timeout", String(options.statementTimeoutMs ?? statementTimeoutMs));
  url.searchParams.set("lock_timeout", String(options.lockTimeoutMs ?? lockTimeoutMs));
  if (options.database !== undefined) url.pathname = `/${encodeURIComponent(options.database)}`;
  const settings = [
    `default_transaction_read_only=${options.writes ? "off" : "on"}`,
    "search_path=pg_catalog",
    "standard_conforming_strings=on",
    // What nobody waits for any more must end in the server too; what is short ends by itself.
    ...(options.statementTimeoutMs !== undefined ? [`client_connection_check_interval=${clientCheckMs}`] : []),
  ];
  // The search path keeps functions and operators that the database's owner made out of Paramedic's statements.
  url.searchParams.set("options", settings.map((setting) => `-c ${setting}`).join(" "));
  return url.href;
}

/** The Failure that an error of the connection means; null for an error in Paramedic's own SQL. */
function describe(error: unknown, where: string, signal: AbortSignal, deadline: AbortSignal): Failure | null {
  if (signal.aborted) return { status: "failed", reason: `Stopped while talking to ${where}.`, retryable: true };
  if (deadline.aborted) {
    return passing(`${where} did not answer within ${callTimeoutMs / 1_000} s. Check whether it is overloaded.`);
  }
  if (!(error instanceof DatabaseError)) return describeLost(error, where);
  const state = error.code ?? "";
  if (state === "28P01") return lasting(`${where} refused the login: wrong user or password. Correct postgres.url.`);
  if (state.startsWith("28")) {
    return lasting(`${where} refused the login (SQLSTATE ${state}). Check the role and pg_hba.conf.`);
  }
  if (state === "3D000") return lasting(`${where} has no such database. Correct postgres.url.`);
  if (state === "42501") return lasting(`${where}: permission denied. Check the rights of the role in postgres.url.`);
  if (state.startsWith("42") || state.startsWith("22")) return null;
  if (state === "53300") return passing(`${where} has no free connection. Reserve one for Paramedic's role.`);
  if (state === "55P03") return passing(`${where} is busy: a lock was not free in time. Try again later.`);
  if (state === "57014") return passing(`${where} took longer than ${statementTimeoutMs / 1_000} s to answer.`);
  return passing(`${where} reported SQLSTATE ${state}. See the server's log.`);
}

/** The Failure that an error without SQLSTATE means: one of the network, of TLS or of the login's protocol. */
function describeLost(error: unknown, where: string): Failure | null {
  const { code, message } = wordsOf(error);
  if (code === "ECONNREFUSED") return passing(`${where} refused the connection. Check that it runs there.`);
  if (code === "ENOTFOUND") return passing(`${where} was not found: the host name is unknown. Check postgres.url.`);
  if (/^E[A-Z_]+$/.test(code) && !code.startsWith("ERR_")) return passing(`${where} cannot be reached (${code}).`);
  if (message === "timeout expired") {
    return passing(`${where} did not accept a connection within ${connectTimeoutMs / 1_000} s. Check the network.`);
  }
  if (message.startsWith("Connection terminated") || message.includes("not queryable")) {
    return passing(`${where} closed the connection. Check that it is up.`);
  }
  return null;
}

/** What may be told of an error of TLS or of the login's protocol: its code, never its text. */
function loginError(error: unknown): string {
  const { code, message } = wordsOf(error);
  if (message.includes("does not support SSL")) return "the server does not speak TLS";
  return message.startsWith("SASL") ? "the login failed" : `TLS or the login failed ${code}`.trim();
}

/** Code and message of an error; empty where it has none. */
function wordsOf(error: unknown): { readonly code: string; readonly message: string } {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return { code: typeof code === "string" ? code : "", message: typeof message === "string" ? message : "" };
}
