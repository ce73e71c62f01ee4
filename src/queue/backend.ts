/** Where hints are kept: BullMQ on Redis, or on its own Postgres backend where no Redis is configured. Nothing else knows which. */

import { createPostgresBackend, Queue, type QueueOptions, Worker, type WorkerOptions } from "bullmq";

/** A hint that a run is due. It carries the run's id and nothing else, since it is stored in clear text and may be stale. */
export interface Hint {
  readonly run: string;
}

export interface BackendOptions {
  /** Null: the hints live beside the runs, in the schema `bullmq` of the same Postgres. */
  readonly redisUrl: string | null;
  readonly databaseUrl: string;
  /** Told of every connection error; BullMQ reconnects by itself. */
  readonly onError: (error: Error) => void;
}

export interface Backend {
  readonly name: "redis" | "postgres";
  /** The hints for any worker, or those for the workers of one host. */
  openQueue(host?: string | null): Queue<Hint>;
  openWorker(process: (hint: Hint) => Promise<void>, concurrency: number, host?: string | null): Worker<Hint>;
}

/** BullMQ takes no colon in the name of a queue. */
const queueName = (host: string | null = null): string => (host === null ? "runs" : `runs@${host}`);
// A hint is worth one try: whatever it leaves behind, the reconciler finds in Postgres.
const once = { attempts: 1, removeOnComplete: true, removeOnFail: true };
const workerSettings = { maxStalledCount: 100, lockDuration: 30_000, stalledInterval: 15_000, drainDelay: 5 };

export function openBackend(options: BackendOptions): Backend {
  return options.redisUrl === null ? onPostgres(options) : onRedis(options, options.redisUrl);
}

function onRedis(options: BackendOptions, url: string): Backend {
  return {
    name: "redis",
    openQueue: (host) => {
      const queueOptions: QueueOptions = {
        // A producer must fail rather than wait for a Redis that is away.
        connection: { url, enableOfflineQueue: false, maxRetriesPerRequest: 1, connectTimeout: 1_000 },
        prefix: "paramedic",
        defaultJobOptions: once,
      };
      const queue = new Queue<Hint>(queueName(host), queueOptions);
      queue.on("error", options.onError);
      return queue;
    },
    openWorker: (process, concurrency, host) => {
      const workerOptions: WorkerOptions = {
        // Runs that end together tell Redis together, and their successors then share their statements.
        connection: { url, maxRetriesPerRequest: null, connectTimeout: 2_000, enableAutoPipelining: true },
        prefix: "paramedic",
        concurrency,
        ...workerSettings,
      };
      const worker = new Worker<Hint>(queueName(host), (job) => process(job.data), workerOptions);
      worker.on("error", options.onError);
      return worker;
    },
  };
}

function onPostgres(options: BackendOptions): Backend {
  const connection = {
    connectionString: options.databaseUrl,
    schema: "bullmq",
    migrate: true,
    max: 4,
    application_name: "paramedic queue",
    connectionTimeoutMillis: 1_500,
  };
  return {
    name: "postgres",
    openQueue: (host) => {
      const queue = new Queue(queueName(host), { connection, defaultJobOptions: once }, createPostgresBackend);
      queue.on("error", options.onError);
      return queue as unknown as Queue<Hint>;
    },
    openWorker: (process, concurrency, host) => {
      const worker = new Worker(
        queueName(host),
        (job) => process(job.data as Hint),
        { connection, concurrency, ...workerSettings },
        createPostgresBackend,
      );
      worker.on("error", options.onError);
      return worker as unknown as Worker<Hint>;
    },
  };
}
