/** A Redis to look at and to change, for tests: its password is the canary, and one client looks at everything. */

import { Redis } from "ioredis";
import type { Target } from "../../../src/domain/target.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";
import { bareTarget, canary } from "../context.ts";

export interface RedisPatient {
  readonly server: TestRedis;
  readonly client: Redis;
  readonly target: Target;
  at(port: number): Target;
  /** Every key with its value. */
  contents(): Promise<Readonly<Record<string, string | null>>>;
  /** Sets so many keys `prefix<number>`. */
  fill(prefix: string, count: number): Promise<void>;
  stop(): Promise<void>;
}

export async function createRedisPatient(keyPatterns: readonly string[]): Promise<RedisPatient> {
  const server = await startRedis();
  const client = new Redis({ port: server.port, host: "127.0.0.1" });
  await client.config("SET", "requirepass", canary);
  await client.auth(canary);
  const at = (port: number): Target => ({
    ...bareTarget,
    redis: { url: `redis://default:${canary}@127.0.0.1:${port}/0`, keyPatterns },
  });
  return {
    server,
    client,
    target: at(server.port),
    at,
    contents: async () => {
      const keys = (await client.keys("*")).sort();
      return Object.fromEntries(await Promise.all(keys.map(async (key) => [key, await client.get(key)])));
    },
    fill: async (prefix, count) => {
      const chunk = 10_000;
      for (let from = 0; from < count; from += chunk) {
        const pairs = Array.from({ length: Math.min(chunk, count - from) }, (_, index) => [
          `${prefix}${from + index}`,
          "v",
        ]);
        await client.mset(...pairs.flat());
      }
    },
    stop: async () => {
      client.disconnect();
      await server.stop();
    },
  };
}
