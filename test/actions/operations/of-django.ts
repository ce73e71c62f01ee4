/** One operation for each change of Django: one project, and for each a database and two numbers of one Redis of its own. */

import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { query } from "../../support/postgres.ts";
import type { TestRedis } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { createYoutility3, djangoTarget } from "../../support/youtility3.ts";
import type { DebianServer } from "../postgres/debian-postgres.ts";
import type { Make, Operation } from "./operation.ts";

const hourMs = 3_600_000;

/** What one operation has for itself. */
interface Copy {
  readonly cache: Redis;
  readonly metrics: Redis;
  count(text: string): Promise<number>;
  /** Records metrics that are so old. */
  age(hours: number, count: number): Promise<void>;
  operation(more: Pick<Operation, "with" | "whole" | "effects">): Operation;
}

/** `redis` has two hundred databases; those from `first` on are used. */
export async function djangoOperations(server: DebianServer, redis: TestRedis, first: number) {
  const original = await server.newDatabase();
  const settings = (databaseUrl: string, number: number) => ({
    YT3_DATABASE_URL: databaseUrl,
    YT3_REDIS_URL: `${redis.url}/${number}`,
    YT3_SECRET_KEY: "a-key-that-only-the-tests-know",
  });
  const yt3 = await createYoutility3({
    databaseUrl: original,
    redisUrl: `${redis.url}/${first}`,
    roots: 3,
    tickets: 50,
  });
  const clients: Redis[] = [];
  let next = first + 2;

  async function copy(name: string): Promise<Copy> {
    const number = next;
    next += 2;
    const from = new URL(original).pathname.slice(1);
    const database = `${name}_${from}`;
    await until(() => query(server.adminUrl, `CREATE DATABASE ${database} TEMPLATE ${from}`).then(() => true), {
      timeoutMs: 20_000,
      what: "the project's database to be copied",
    });
    const url = original.replace(from, database);
    const [cache, metrics] = [new Redis(`${redis.url}/${number}`), new Redis(`${redis.url}/${number + 1}`)];
    clients.push(cache, metrics);
    const env = settings(url, number);
    const variable = (of: string) => `${name.toUpperCase()}_${of}`;
    const django = djangoTarget(yt3.folder, {});
    return {
      cache,
      metrics,
      count: async (text) => Number(Object.values((await query(url, text))[0] ?? {})[0]),
      age: async (hours, count) => {
        const at = (Date.now() - hours * hourMs) / 1_000;
        const member = () => JSON.stringify({ id: randomUUID(), path: "/old/", ms: 12.5, status: 200 });
        await metrics.zadd("metrics:requests", ...Array.from({ length: count }, () => [at, member()]).flat());
      },
      operation: (more) => ({
        target: {
          django: { ...django, env: Object.fromEntries(Object.keys(env).map((of) => [of, { env: variable(of) }])) },
        },
        env: Object.fromEntries(Object.entries(env).map(([of, value]) => [variable(of), value])),
        ...more,
      }),
    };
  }

  const made: Readonly<Record<string, Make>> = {
    "django.warm-caches": async (name) => {
      const { cache, operation } = await copy(name);
      return operation({ with: {}, whole: 1, effects: async () => ((await cache.dbsize()) > 0 ? 1 : 0) });
    },
    "django.clear-cache": async (name) => {
      const { cache, operation } = await copy(name);
      await cache.mset(":1:tree:1", "x", ":1:report:1", "y");
      return operation({ with: {}, whole: 2, effects: async () => 2 - (await cache.dbsize()) });
    },
    "django.cleanup-metrics": async (name) => {
      const { age, metrics, operation } = await copy(name);
      await age(7, 20);
      await age(1, 5);
      return operation({
        with: { hours: 6 },
        whole: 20,
        effects: async () => 25 - (await metrics.zcard("metrics:requests")),
      });
    },
    "django.archive-metrics": async (name) => {
      const { age, count, operation } = await copy(name);
      await age(1_000, 20);
      const effects = () => count("SELECT count(*) FROM monitoring_archivedmetric");
      return operation({ with: { days: 30 }, whole: 20, effects });
    },
    "django.migrate": async (name) => {
      const { count, operation } = await copy(name);
      const applied = "SELECT 1 - count(*) FROM django_migrations WHERE app = 'core' AND name LIKE '0003%'";
      return operation({ with: { app: "core", to: "0002" }, whole: 1, effects: () => count(applied) });
    },
  };

  return {
    made,
    close: () => {
      for (const client of clients) client.disconnect();
    },
  };
}
