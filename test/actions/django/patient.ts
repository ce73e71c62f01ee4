/** The Django project on a real Postgres and a real Redis whose passwords are the canary, as a target to act upon. */

import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import type { DjangoTarget, Target } from "../../../src/domain/target.ts";
import { query, sharedPostgres } from "../../support/postgres.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { createYoutility3, djangoTarget, type Youtility3 } from "../../support/youtility3.ts";
import { bareTarget, canary } from "../context.ts";

export interface DjangoPatient {
  readonly yt3: Youtility3;
  readonly redis: TestRedis;
  /** The cache, which is database 0; the metrics are in database 1. */
  readonly cache: Redis;
  readonly metrics: Redis;
  readonly target: Target;
  /** The target with its Postgres, its Redis or both at another port. */
  at(port: number): Target;
  with(django: Partial<DjangoTarget>): Target;
  sql(text: string): Promise<Record<string, unknown>[]>;
  /** The values of all keys of the cache. */
  cached(): Promise<Readonly<Record<string, string | undefined>>>;
  /** Records metrics that are so old. */
  age(hours: number, count: number): Promise<void>;
  /** How many metrics there are, by key. */
  recorded(): Promise<Readonly<Record<string, number>>>;
  stop(): Promise<void>;
}

export async function createDjangoPatient(): Promise<DjangoPatient> {
  const postgres = await sharedPostgres();
  const redis = await startRedis();
  const database = new URL(postgres.url).pathname;
  const envAt = (ports: { postgres: number; redis: number }) => ({
    YT3_DATABASE_URL: `postgres://postgres:${canary}@127.0.0.1:${ports.postgres}${database}`,
    YT3_REDIS_URL: `redis://:${canary}@127.0.0.1:${ports.redis}/0`,
    YT3_SECRET_KEY: `key-${canary}`,
  });
  const here = envAt({ postgres: postgres.port, redis: redis.port });
  const open = async (db: number) => {
    const client = new Redis({ port: redis.port, host: "127.0.0.1", lazyConnect: true, db });
    await client.connect();
    return client;
  };
  const [cache, metrics] = [await open(0), await open(1)];
  await cache.config("SET", "requirepass", canary);
  for (const client of [cache, metrics]) await client.auth(canary);
  const yt3 = await createYoutility3({
    databaseUrl: here.YT3_DATABASE_URL,
    redisUrl: here.YT3_REDIS_URL,
    env: here,
    roots: 3,
    tickets: 50,
  });
  const targetOf = (django: DjangoTarget): Target => ({ ...bareTarget, django });
  return {
    yt3,
    redis,
    cache,
    metrics,
    target: targetOf(yt3.django),
    at: (port) => targetOf(djangoTarget(yt3.folder, envAt({ postgres: port, redis: port }))),
    with: (django) => targetOf({ ...yt3.django, ...django }),
    sql: (text) => query(postgres.url, text),
    cached: async () => {
      const keys = (await cache.keys("*")).sort();
      const values = keys.length === 0 ? [] : await cache.mgetBuffer(keys);
      return Object.fromEntries(keys.map((key, index) => [key, values[index]?.toString("base64")]));
    },
    age: async (hours, count) => {
      const at = Date.now() / 1_000 - hours * 3_600;
      const member = () => JSON.stringify({ id: randomUUID(), path: "/old/", ms: 12.5, status: 200 });
      await metrics.zadd("metrics:requests", ...Array.from({ length: count }, () => [at, member()]).flat());
    },
    recorded: async () => {
      const keys = (await metrics.keys("*")).sort();
      return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await metrics.zcard(key)] as const)));
    },
    stop: async () => {
      cache.disconnect();
      metrics.disconnect();
      await redis.stop();
    },
  };
}
