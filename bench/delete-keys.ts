/** How long a million keys of a Redis take to delete, beside redis-cli and xargs, and how long others wait meanwhile. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { Redis } from "ioredis";
import { deleteKeys as action, type DeleteKeysPlan } from "../src/actions/redis/delete-keys.ts";
import type { ActionContext } from "../src/domain/action.ts";
import type { Ground } from "./ground.ts";
import type { bystander } from "./process/bystander.ts";
import { compare, figure, type Row } from "./row.ts";
import { median, quantile } from "./statistics.ts";
import { startPartner } from "./talk.ts";

const rounds = 3;
const keys = 1_000_000;
const pattern = "*tree:*";
const database = 5;
const limitMs = 10;
/** How long the bystander is listened to while nothing is deleted: what the machine itself costs it. */
const idleMs = 2_000;

export async function deleteKeys({ redisUrl }: Ground): Promise<readonly Row[]> {
  const url = `${redisUrl}/${database}`;
  const redis = new Redis(url);
  const other = await startPartner<typeof bystander>("bystander", { REDIS_URL: url });
  const context = contextOf(url);
  const took = { plan: [] as number[], ours: [] as number[], both: [] as number[], theirs: [] as number[] };
  const waits = { idle: [] as number[], plan: [] as number[], ours: [] as number[], theirs: [] as number[] };
  const meanwhile = async (work: () => Promise<void>, into: number[]): Promise<number> => {
    await other.ask("begin", null);
    const seconds = await timeOf(work);
    into.push(quantile(await other.ask("end", null), 0.99));
    return seconds;
  };
  for (let round = 0; round < rounds; round++) {
    await fill(redis);
    await meanwhile(() => new Promise((resolve) => setTimeout(resolve, idleMs)), waits.idle);
    took.theirs.push(await meanwhile(() => scanAndUnlink(redisUrl), waits.theirs));
    await fill(redis);
    const plans: DeleteKeysPlan[] = [];
    const planning = async () => {
      const planned = await action.plan({ pattern }, context);
      if (planned.status === "planned") plans.push(planned.plan);
    };
    took.plan.push(await meanwhile(planning, waits.plan));
    const [plan] = plans;
    if (!plan) throw new Error("Nothing was planned");
    took.ours.push(await meanwhile(() => apply(plan, context), waits.ours));
    took.both.push((took.plan.at(-1) ?? 0) + (took.ours.at(-1) ?? 0));
  }
  redis.disconnect();
  await other.child.stop();
  const what = `delete ${keys.toLocaleString("en-US")} keys`;
  const waiting = { what: `${what}: another's GET, p99 beside ${limitMs} ms`, unit: "ms", baseline: limitMs };
  return [
    compare(
      { what: `${what}: apply without its plan`, unit: "s", ours: median(took.ours), baseline: median(took.theirs) },
      { atMost: 1.3 },
    ),
    compare({ what: `${what}: plan and apply`, unit: "s", ours: median(took.both), baseline: median(took.theirs) }),
    compare({ ...waiting, ours: Math.max(median(waits.ours), median(waits.plan)) }, { atMost: 1 }),
    figure({ what: `${what}: another's GET before, p99`, unit: "ms", ours: median(waits.idle) }),
    figure({ what: `${what}: another's GET under xargs, p99`, unit: "ms", ours: median(waits.theirs) }),
    figure({ what: `${what}: the plan`, unit: "s", ours: median(took.plan) }),
  ];
}

function contextOf(url: string): ActionContext {
  return {
    target: { name: "cache", host: null, labels: {}, redis: { url, keyPatterns: [pattern] } },
    signal: new AbortController().signal,
    log: { info: () => {}, warn: () => {} },
    now: Date.now,
  };
}

async function apply(plan: DeleteKeysPlan, context: ActionContext): Promise<void> {
  const outcome = await action.apply(plan, context);
  const deleted = outcome.status === "done" && (outcome.result as { deleted: number }).deleted;
  if (deleted !== keys) throw new Error(`Not all keys were deleted: ${JSON.stringify(outcome)}`);
}

/** What a person would type: `redis-cli --scan --pattern … | xargs redis-cli unlink`. */
async function scanAndUnlink(redisUrl: string): Promise<void> {
  const cli = ["-p", new URL(redisUrl).port, "-n", String(database)];
  const scan = spawn("redis-cli", [...cli, "--scan", "--pattern", pattern], { stdio: ["ignore", "pipe", "inherit"] });
  const unlink = spawn("xargs", ["redis-cli", ...cli, "unlink"], { stdio: [scan.stdout, "ignore", "inherit"] });
  const [code] = await once(unlink, "exit");
  if (code !== 0) throw new Error(`xargs ended with ${code}`);
}

async function fill(redis: Redis): Promise<void> {
  await redis.flushdb();
  const chunk = 10_000;
  for (let from = 0; from < keys; from += chunk) {
    const script = "for i = ARGV[1], ARGV[2] do redis.call('SET', ':1:tree:' .. i, 'a cached tree') end";
    await redis.eval(script, 0, from, from + chunk - 1);
  }
}

/** In seconds. */
async function timeOf(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
}
