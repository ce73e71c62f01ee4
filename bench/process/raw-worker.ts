/** The raw baseline of working: a worker of BullMQ's that does nothing. */

import { Worker } from "bullmq";
import { answerQuestions, sharedNow } from "../talk.ts";

const calledAt: Record<string, number> = {};
let ended = 0;
let wanted: { readonly runs: number; reached(at: number): void } | null = null;

const raw = new Worker(
  "raw",
  async (job) => {
    const { run } = job.data as { readonly run: string };
    calledAt[run] = sharedNow();
  },
  {
    connection: { url: process.env["REDIS_URL"] as string, maxRetriesPerRequest: null },
    concurrency: Number(process.env["CONCURRENCY"]),
    removeOnComplete: { count: 0 },
  },
);
raw.on("completed", () => {
  ended += 1;
  if (ended === wanted?.runs) wanted.reached(sharedNow());
});
await raw.waitUntilReady();

export const rawWorker = answerQuestions({
  ended: ({ runs }: { readonly runs: number }) =>
    new Promise<number>((resolve) => {
      if (ended >= runs) resolve(sharedNow());
      wanted = { runs, reached: resolve };
    }),
  firstSteps: () => calledAt,
});
