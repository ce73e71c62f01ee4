/** `redis.stats`: how a cache does at present: hit rate and evictions over a window, memory, and its slowest commands. */

import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";
import { z } from "zod";
import type { ActionContext, ObserveAction, Observed } from "../../domain/action.ts";
import { withRedis } from "./connect.ts";
import { readInfo } from "./info.ts";
import { familyOf } from "./key-text.ts";

const mostSlow = 10;

const input = z.strictObject({
  /** How long lookups and evictions are counted; the step takes that long. */
  windowSeconds: z.int().min(1).max(60).default(5),
});

const slowCommand = z.object({
  command: z.string(),
  /** The key up to its last colon; empty where the command has no argument. */
  keys: z.string(),
  milliseconds: z.number(),
  secondsAgo: z.number(),
});

const output = z.object({
  /** How long was counted. */
  windowSeconds: z.number(),
  /** Keys that were looked up within the window, on the whole server. */
  lookups: z.int(),
  hits: z.int(),
  misses: z.int(),
  /** Hits of lookups within the window, from 0 to 1; absent where nothing was looked up. */
  hitRate: z.number().optional(),
  /** The same since the server's start; says little about the present. */
  hitRateSinceStart: z.number().optional(),
  /** Keys that were thrown out for want of memory within the window. */
  evictions: z.int(),
  /** Commands within the window, by the second. */
  commandsPerSecond: z.number(),
  usedMemoryBytes: z.int(),
  /** 0: there is no limit. */
  maxMemoryBytes: z.int(),
  /** Used of the limit, from 0 to 1; absent where there is none. */
  memoryRatio: z.number().optional(),
  /** Keys in the database of the target's URL. */
  keys: z.int(),
  clients: z.int(),
  /** The newest of the slow log, the slowest first; empty where it may not be read. */
  slowest: z.array(slowCommand),
});

type Input = z.output<typeof input>;
type Output = z.output<typeof output>;

export const stats: ObserveAction<Input, Output> = {
  name: "redis.stats",
  summary: "Measures hit rate and evictions over a window, memory and slow commands of a Redis.",
  input,
  kind: "observe",
  output,
  observe,
};

async function observe(input: Input, context: ActionContext): Promise<Observed<Output>> {
  return withRedis(context, async (redis): Promise<Observed<Output>> => {
    const before = await readInfo(redis, "stats");
    const started = performance.now();
    await pause(input.windowSeconds * 1_000, undefined, { signal: context.signal });
    const now = await readInfo(redis, "stats", "memory", "clients");
    const windowSeconds = (performance.now() - started) / 1_000;
    const keys = await redis.dbsize();
    // A restart or CONFIG RESETSTAT within the window begins the count anew.
    const grown = (name: string) => Math.max(0, now(name) - before(name));
    const hits = grown("keyspace_hits");
    const misses = grown("keyspace_misses");
    const [used, most] = [now("used_memory"), now("maxmemory")];
    return {
      status: "observed",
      output: {
        windowSeconds: rounded(windowSeconds),
        lookups: hits + misses,
        hits,
        misses,
        ...ratio("hitRate", hits, hits + misses),
        ...ratio("hitRateSinceStart", now("keyspace_hits"), now("keyspace_hits") + now("keyspace_misses")),
        evictions: grown("evicted_keys"),
        commandsPerSecond: rounded(grown("total_commands_processed") / windowSeconds),
        usedMemoryBytes: used,
        maxMemoryBytes: most,
        ...ratio("memoryRatio", used, most),
        keys,
        clients: now("connected_clients"),
        slowest: await readSlowLog(redis, context.now()),
      },
    };
  });
}

function ratio<Name extends string>(name: Name, part: number, whole: number): { [key in Name]?: number } {
  return whole > 0 ? ({ [name]: rounded(part / whole) } as { [key in Name]: number }) : {};
}

function rounded(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}

/** Arguments hold values and sessions: only a command's name and the family of its first key are told. */
async function readSlowLog(redis: Redis, now: number): Promise<Output["slowest"]> {
  let entries: unknown;
  try {
    entries = await redis.call("SLOWLOG", "GET", String(mostSlow));
  } catch (error) {
    // Hosted Redis often refuses SLOWLOG; the rest is worth having without it.
    if ((error as Error).name === "ReplyError") return [];
    throw error;
  }
  const slowest = (entries as readonly [number, number, number, readonly string[]][]).map(([, at, micros, words]) => ({
    command: commandName(words[0]),
    keys: words[1] === undefined ? "" : familyOf(words[1]),
    milliseconds: micros / 1_000,
    secondsAgo: Math.max(0, Math.round(now / 1_000 - at)),
  }));
  return slowest.sort((a, b) => b.milliseconds - a.milliseconds);
}

function commandName(command: string | undefined): string {
  return /^[A-Za-z][A-Za-z.|]{0,30}$/.test(command ?? "") ? (command as string).toUpperCase() : "?";
}
