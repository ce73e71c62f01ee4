/**
 * One short-lived connection to a target's Redis per call: every command is bounded in time, the connection closes when
 * the signal aborts, and what can be expected to go wrong is a Failure that names the server and never the password.
 */

import { isIP } from "node:net";
import { Redis } from "ioredis";
import type { ActionContext, Failure } from "../../domain/action.ts";
import { deadlineOf } from "../../domain/deadline.ts";
import type { RedisTarget } from "../../domain/target.ts";
import { lasting, passing } from "../failure.ts";

const connectTimeoutMs = 5_000;
const commandTimeoutMs = 10_000;

/** What Redis answers while it cannot serve for a moment. */
const passes = ["LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"];

/** That a server cannot be reached: it refuses, it vanishes, or it says nothing in time. */
export interface Away extends Failure {
  readonly away: true;
}

/**
 * Connects to the Redis of the context's target, runs `use` and disconnects. A missing or wrong configuration, an
 * unreachable server, a refusal and an aborted signal are returned as a Failure.
 */
export async function withRedis<T>(
  context: ActionContext,
  use: (redis: Redis, target: RedisTarget) => Promise<T>,
): Promise<T | Failure> {
  const result = await reachRedis(context, use);
  return isAway(result) ? passing(result.reason) : result;
}

/** As `withRedis`, for whom it is an answer that the server cannot be reached: `isAway` tells. */
export async function reachRedis<T>(
  context: ActionContext,
  use: (redis: Redis, target: RedisTarget) => Promise<T>,
): Promise<T | Failure | Away> {
  const target = context.target;
  if (!target) return lasting("This action needs a target. Name one in the playbook (target: …).");
  if (!target.redis) return lasting(`The target ${target.name} has no Redis. Add redis: to it in paramedic.yaml.`);
  const address = addressOf(target.redis.url);
  if (!address) return lasting(`The redis.url of the target ${target.name} is no redis:// URL. Correct it.`);
  const where = `Redis of target ${target.name} (${address.host}:${address.port}, database ${address.database})`;
  if (context.signal.aborted) return stopped(where);

  const redis = new Redis({
    host: address.host,
    port: address.port,
    ...(address.tls && { tls: isIP(address.host) ? {} : { servername: address.host } }),
    lazyConnect: true,
    connectTimeout: connectTimeoutMs,
    // How long a server that says nothing is waited for after the connection was closed from here.
    disconnectTimeout: 100,
    commandTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: null,
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2,
  });
  // Errors reach the caller by the promises; without a listener ioredis prints them.
  let lost: unknown = null;
  redis.on("error", (error) => {
    lost = error;
  });
  const close = () => redis.disconnect();
  context.signal.addEventListener("abort", close, { once: true });
  const connecting = deadlineOf([], connectTimeoutMs);
  connecting.signal.addEventListener("abort", close, { once: true });
  try {
    await redis.connect();
    await signIn(redis, address);
    connecting.release();
    return await use(redis, target.redis);
  } catch (error) {
    if (context.signal.aborted) return stopped(where);
    if (connecting.signal.aborted) return away(`${where} did not answer within ${connectTimeoutMs / 1_000} s.`);
    const failure = describe(lost, where) ?? describe(error, where);
    if (failure) return failure;
    throw error;
  } finally {
    connecting.release();
    context.signal.removeEventListener("abort", close);
    redis.disconnect();
  }
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly user: string;
  readonly password: string;
  readonly database: number;
}

/** What a Redis URL names; null where it is none. Its query is not looked at. */
function addressOf(configured: string): Address | null {
  if (!URL.canParse(configured)) return null;
  const url = new URL(configured);
  const database = Number(url.pathname.slice(1) || "0");
  const isRedis = url.protocol === "redis:" || url.protocol === "rediss:";
  if (!isRedis || url.hostname === "" || !Number.isSafeInteger(database) || database < 0) return null;
  try {
    return {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port || "6379"),
      tls: url.protocol === "rediss:",
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database,
    };
  } catch {
    return null;
  }
}

async function signIn(redis: Redis, { user, password, database }: Address): Promise<void> {
  if (password !== "") await (user === "" ? redis.auth(password) : redis.auth(user, password));
  if (database !== 0) await redis.select(database);
}

/** Whether this says that the server cannot be reached. */
export function isAway(result: unknown): result is Away {
  return typeof result === "object" && result !== null && "away" in result;
}

function away(reason: string): Away {
  return { ...passing(reason), away: true };
}

function stopped(where: string): Failure {
  return passing(`Stopped while talking to ${where}.`);
}

/** The Failure that an error means; null for an error that is ours. Of what Redis answers only its code is told. */
function describe(error: unknown, where: string): Failure | Away | null {
  const { name, code, message } = wordsOf(error);
  if (name === "ReplyError") return describeReply(message, where);
  if (message === "Command timed out") {
    return away(`${where} took longer than ${commandTimeoutMs / 1_000} s to answer.`);
  }
  if (code === "ECONNREFUSED") return away(`${where} refused the connection. Check that it runs there.`);
  if (code === "ENOTFOUND") return passing(`${where} was not found: the host name is unknown. Check redis.url.`);
  if (code === "EAI_AGAIN") return passing(`${where} was not found: no name server answers.`);
  if (/^E[A-Z_]+$/.test(code) && !code.startsWith("ERR_")) return away(`${where} cannot be reached (${code}).`);
  if (message === "connect ETIMEDOUT") return away(`${where} cannot be reached (ETIMEDOUT).`);
  if (message.startsWith("Connection is closed") || name === "MaxRetriesPerRequestError") {
    return away(`${where} closed the connection. Check that it is up.`);
  }
  if (/TLS|SSL|CERT|ALTNAME/i.test(code)) return lasting(`${where}: TLS failed (${code}). Check redis.url.`);
  return null;
}

function describeReply(message: string, where: string): Failure {
  const word = /^[A-Z]+/.exec(message)?.[0] ?? "ERR";
  if (word === "NOAUTH") return lasting(`${where} asks for a password. Add one to redis.url.`);
  if (word === "WRONGPASS" || message.includes("AUTH")) {
    return lasting(`${where} refused the login: wrong user or password. Correct redis.url.`);
  }
  if (word === "NOPERM") return lasting(`${where}: permission denied. Check the ACL of the user in redis.url.`);
  if (word === "READONLY") return lasting(`${where} is a replica that takes no writes. Name its primary in redis.url.`);
  if (message.includes("DB index")) return lasting(`${where} has no such database. Correct redis.url.`);
  if (passes.includes(word)) return passing(`${where} cannot serve at the moment (${word}).`);
  if (message.startsWith("ERR unknown command")) return lasting(`${where} does not know a command that is needed.`);
  return lasting(`${where} refused a command (${word}). See the server's log.`);
}

function wordsOf(error: unknown): { readonly name: string; readonly code: string; readonly message: string } {
  const { name, code, message } = (error ?? {}) as { name?: unknown; code?: unknown; message?: unknown };
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return { name: text(name), code: text(code), message: text(message) };
}
