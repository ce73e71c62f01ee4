/** From an alert that is sent to the first step of its run, at a steady rate, beside BullMQ's own add-to-start. */

import { type Ground, token } from "./ground.ts";
import type { load } from "./process/load.ts";
import type { rawWorker } from "./process/raw-worker.ts";
import { startReceiver, startWorker } from "./programs.ts";
import { compare, figure, type Row } from "./row.ts";
import { quantile } from "./statistics.ts";
import { startPartner } from "./talk.ts";

const perSecond = 20;
const rounds = 4;
const seconds = 5;
const concurrency = 10;

export async function latency(ground: Ground): Promise<readonly Row[]> {
  const ours = await alerts(ground, ground.redisUrl);
  const raw = await adds(ground.redisUrl);
  const delays = { ours: [] as number[], raw: [] as number[] };
  await raw.round();
  await ours.round();
  for (let round = 0; round < rounds; round++) {
    delays.raw.push(...(await raw.round()));
    delays.ours.push(...(await ours.round()));
  }
  await Promise.all([ours.stop(), raw.stop()]);
  return [0.5, 0.99].map((q) =>
    compare(
      {
        what: `alert to first step at ${perSecond}/s, p${q * 100}`,
        unit: "ms",
        ours: quantile(delays.ours, q),
        baseline: quantile(delays.raw, q),
      },
      { atMost: 3 },
    ),
  );
}

/** The same on the default without Redis, where the queue is in Postgres too. */
export async function latencyWithoutRedis(ground: Ground): Promise<readonly Row[]> {
  const ours = await alerts(ground, null);
  await ours.round();
  const delays = [...(await ours.round()), ...(await ours.round())];
  await ours.stop();
  const what = `alert to first step at ${perSecond}/s, no Redis`;
  return [
    figure({ what, unit: "ms", ours: quantile(delays, 0.5), p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) }),
  ];
}

interface Rounds {
  /** The delays of the alerts of one more round, in milliseconds. */
  round(): Promise<readonly number[]>;
  stop(): Promise<void>;
}

async function alerts(ground: Ground, redisUrl: string | null): Promise<Rounds> {
  const place = { databaseUrl: await ground.newDatabase(), redisUrl };
  const receiver = await startReceiver(ground, place);
  const worker = await startWorker(ground, place, concurrency);
  const generator = await startPartner<typeof load>("load");
  let first = 0;
  return {
    round: async () => {
      const sentAt = await generator.ask("fire", { url: receiver.url, token, perSecond, seconds, first });
      first += perSecond * seconds;
      await worker.ask("ended", { runs: first });
      return delaysOf(sentAt, await worker.ask("firstSteps", null));
    },
    stop: async () => {
      await Promise.all([receiver.child.stop(), worker.child.stop(), generator.child.stop()]);
    },
  };
}

async function adds(redisUrl: string): Promise<Rounds> {
  const worker = await startPartner<typeof rawWorker>("raw-worker", {
    REDIS_URL: redisUrl,
    CONCURRENCY: String(concurrency),
  });
  const generator = await startPartner<typeof load>("load");
  let first = 0;
  return {
    round: async () => {
      const sentAt = await generator.ask("add", { redisUrl, perSecond, seconds, first });
      first += perSecond * seconds;
      await worker.ask("ended", { runs: first });
      return delaysOf(sentAt, await worker.ask("firstSteps", null));
    },
    stop: async () => {
      await Promise.all([worker.child.stop(), generator.child.stop()]);
    },
  };
}

function delaysOf(sentAt: Readonly<Record<string, number>>, startedAt: Readonly<Record<string, number>>): number[] {
  return Object.entries(sentAt).map(([run, sent]) => {
    const started = startedAt[run];
    if (started === undefined) throw new Error(`no step was started of ${run}`);
    return started - sent;
  });
}
