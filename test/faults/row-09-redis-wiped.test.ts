/** Rows 9 and 19: Redis loses everything, and its job ids begin anew; every run ends exactly once, and no hint acts on another run. */

import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { query, sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis, type TestRedis } from "../support/redis.ts";
import { killServices, type Service, type ServiceOptions, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(60_000);

const pending = 50;

redisService.describe("Redis loses what it had", () => {
  let redis: TestRedis;
  let ward: Ward;
  let options: ServiceOptions & { readonly databaseUrl: string };
  let receiver: Service;
  let queue: Queue;

  beforeEach(async () => {
    redis = await startRedis();
    ward = await createWard();
    options = {
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      redisUrl: redis.url,
      targets: ward.targets(pending),
      playbooks: [wardPlaybook("sick")],
    };
    receiver = await startService({ ...options, role: "receiver" });
    await receiver.ready();
    queue = new Queue("runs", { connection: { url: redis.url }, prefix: "paramedic" });
    // Its Redis is killed below; it connects again by itself.
    queue.on("error", () => {});
  });

  afterEach(async () => {
    await queue.close();
    await killServices();
    await redis.stop();
  });

  const waiting = async () => await queue.getWaitingCount();

  async function fireAll(): Promise<void> {
    const alerts = Object.keys(options.targets).map((service) => ({ labels: { alertname: "sick", service } }));
    const { status, body } = await receiver.notify(alerts);
    expect([status, body.runs.length]).toEqual([200, pending]);
    await until(async () => (await waiting()) === pending, { what: "the hints to be in Redis" });
  }

  async function flushAll(): Promise<void> {
    const client = new Redis(redis.url);
    await client.flushall();
    client.disconnect();
  }

  test.each(["FLUSHALL", "kill -9 without a file"])(
    "%s with 50 runs pending: all 50 end, each exactly once",
    async (how) => {
      await fireAll();
      if (how === "FLUSHALL") await flushAll();
      else {
        await redis.kill();
        await redis.start();
      }
      expect(await waiting()).toBe(0);
      const worker = await startService({ ...options, role: "worker" });
      await until(
        async () => {
          const [row] = await query(
            options.databaseUrl,
            "SELECT count(*)::int AS ended FROM paramedic.runs WHERE outcome = 'fixed'",
          );
          return row?.["ended"] === pending;
        },
        { timeoutMs: 30_000, what: "all runs to end" },
      );
      expect(await ward.effects()).toHaveLength(pending);
      for (const target of Object.keys(options.targets)) expect(await ward.applies(target)).toHaveLength(1);
      await worker.stop();
    },
  );

  test("a job id that is given out again, and hints of runs that ended or never were, do nothing to other runs", async () => {
    const first = await receiver.fire({ alertname: "sick", service: "w1" });
    const [before] = await until(async () => {
      const jobs = await queue.getWaiting();
      return jobs.length === 1 && jobs;
    });
    expect(before?.data).toEqual({ run: first });
    await flushAll();
    const second = await receiver.fire({ alertname: "sick", service: "w2" });
    const [after] = await until(async () => {
      const jobs = await queue.getWaiting();
      return jobs.length === 1 && jobs;
    });
    expect(after).toMatchObject({ id: before?.id, data: { run: second } });

    const worker = await startService({ ...options, role: "worker" });
    const runs = [await receiver.ended(first), await receiver.ended(second)];
    expect(runs.map(({ outcome }) => outcome)).toEqual(["fixed", "fixed"]);
    await queue.addBulk(
      [first, second, "01900000-0000-7000-8000-000000000000"].map((run) => ({ name: "run", data: { run } })),
    );
    await until(async () => (await waiting()) === 0 && (await queue.getActiveCount()) === 0, {
      what: "the stale hints to be used up",
    });
    expect([await receiver.run(first), await receiver.run(second)]).toEqual(runs);
    expect(await ward.effects()).toHaveLength(2);
    await worker.stop();
  });
});
