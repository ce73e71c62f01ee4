/** How fast stored runs of three steps are worked off, every event recorded, beside a BullMQ worker that does nothing. */

import { Queue } from "bullmq";
import pg from "pg";
import { newId } from "../src/ids.ts";
import { openBackend } from "../src/queue/backend.ts";
import { connect } from "../src/store/connect.ts";
import { createReceive } from "../src/store/receive.ts";
import type { Ground } from "./ground.ts";
import { incomingAlert } from "./incoming.ts";
import type { rawWorker } from "./process/raw-worker.ts";
import { type Place, startWorker } from "./programs.ts";
import { compare, figure, type Row } from "./row.ts";
import { median } from "./statistics.ts";
import { sharedNow, startPartner } from "./talk.ts";

const rounds = 3;
const runsOf = { ours: 3_000, raw: 10_000 };

/** Works off one more batch and returns how many were done in a second. */
type Drain = () => Promise<number>;

export async function drain(ground: Ground): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const concurrency of [10, 50]) {
    const ours = await drainOurs(
      ground,
      { databaseUrl: await ground.newDatabase(), redisUrl: ground.redisUrl },
      concurrency,
    );
    const raw = await drainRaw(ground.redisUrl, concurrency);
    const figures = { ours: [] as number[], raw: [] as number[] };
    await raw.once();
    await ours.once();
    for (let round = 0; round < rounds; round++) {
      figures.raw.push(await raw.once());
      figures.ours.push(await ours.once());
    }
    await Promise.all([ours.stop(), raw.stop()]);
    const row = { what: `drain, concurrency ${concurrency}`, unit: "runs/s", ours: median(figures.ours) };
    rows.push(compare({ ...row, baseline: median(figures.raw) }, { atLeast: 0.15 }));
  }
  return rows;
}

/** The same on the default without Redis, where the queue is in Postgres too. */
export async function drainWithoutRedis(ground: Ground): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const concurrency of [10, 50]) {
    const ours = await drainOurs(ground, { databaseUrl: await ground.newDatabase(), redisUrl: null }, concurrency);
    await ours.once();
    const figures = [await ours.once(), await ours.once(), await ours.once()];
    await ours.stop();
    rows.push(figure({ what: `drain, concurrency ${concurrency}, no Redis`, unit: "runs/s", ours: median(figures) }));
  }
  return rows;
}

/** Stores runs and hints at them while the queue is paused, so that nothing but the draining is timed. */
async function drainOurs(
  ground: Ground,
  place: Place,
  concurrency: number,
): Promise<{ once: Drain; stop(): Promise<void> }> {
  const worker = await startWorker(ground, place, concurrency);
  const queue = openBackend({ ...place, onError: () => {} }).openQueue();
  const database = connect(place.databaseUrl);
  const receive = createReceive(database, Date.now);
  const playbookHash = await loadedHash(place.databaseUrl);
  let stored = 0;
  return {
    once: async () => {
      await queue.pause();
      const ids: string[] = [];
      for (let chunk = 0; chunk < runsOf.ours; chunk += 500) {
        const alerts = Array.from({ length: 500 }, (_, index) => incomingAlert(stored + index, playbookHash));
        stored += alerts.length;
        await receive(alerts);
        ids.push(...alerts.flatMap(({ runs }) => runs.map((run) => run.id)));
        await queue.addBulk(ids.slice(-500).map((run) => ({ name: "run", data: { run } })));
      }
      const done = worker.ask("ended", { runs: stored });
      const started = sharedNow();
      await queue.resume();
      return (ids.length * 1_000) / ((await done) - started);
    },
    stop: async () => {
      await Promise.all([worker.child.stop(), queue.close(), database.close()]);
    },
  };
}

async function drainRaw(redisUrl: string, concurrency: number): Promise<{ once: Drain; stop(): Promise<void> }> {
  const worker = await startPartner<typeof rawWorker>("raw-worker", {
    REDIS_URL: redisUrl,
    CONCURRENCY: String(concurrency),
  });
  const queue = new Queue("raw", { connection: { url: redisUrl } });
  let added = 0;
  return {
    once: async () => {
      await queue.pause();
      for (let chunk = 0; chunk < runsOf.raw; chunk += 500) {
        await queue.addBulk(Array.from({ length: 500 }, () => ({ name: "raw", data: { run: newId() } })));
        added += 500;
      }
      const done = worker.ask("ended", { runs: added });
      const started = sharedNow();
      await queue.resume();
      return (runsOf.raw * 1_000) / ((await done) - started);
    },
    stop: async () => {
      await Promise.all([worker.child.stop(), queue.close()]);
    },
  };
}

/** The hash of the one playbook, which the worker has stored at its start. */
async function loadedHash(databaseUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ hash: string }>("SELECT hash FROM paramedic.playbook_versions");
    return (rows[0] as { hash: string }).hash;
  } finally {
    await client.end();
  }
}
