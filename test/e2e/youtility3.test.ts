/** The Django project that stands in for the real YOUTILITY3 does what the runbook expects of it. */

import { Redis } from "ioredis";
import { query, sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis, type TestRedis } from "../support/redis.ts";
import { createYoutility3, djangoService, type ServedYoutility3, type Youtility3 } from "../support/youtility3.ts";

const services = djangoService.available ? redisService : djangoService;

services.describe("YOUTILITY3", () => {
  let redis: TestRedis;
  let client: Redis;
  let databaseUrl: string;
  let yt3: Youtility3;
  let served: ServedYoutility3;

  beforeAll(async () => {
    const postgres = await sharedPostgres();
    databaseUrl = postgres.url;
    redis = await startRedis();
    client = new Redis(redis.url);
    yt3 = await createYoutility3({ databaseUrl, redisUrl: `${redis.url}/0` });
    served = await yt3.serve();
  }, 90_000);

  afterAll(async () => {
    client?.disconnect();
    await served?.stop();
    await redis?.stop();
  });

  async function statistic(section: string, name: string): Promise<number> {
    return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(await client.info(section))?.[1]);
  }

  /** The hit rate of every tree and every report being looked at once. */
  async function hitRate(): Promise<number> {
    const before = [await statistic("stats", "keyspace_hits"), await statistic("stats", "keyspace_misses")] as const;
    for (const { id } of await query(databaseUrl, "SELECT id FROM core_location WHERE parent_id IS NULL")) {
      expect(await served.get(`/tree/${id}/`)).toMatchObject({ code: 200, body: { id: Number(id) } });
      expect(await served.get(`/report/${id}/`)).toMatchObject({ code: 200 });
    }
    const hits = (await statistic("stats", "keyspace_hits")) - before[0];
    return hits / (hits + (await statistic("stats", "keyspace_misses")) - before[1]);
  }

  test("a cold cache misses, and warming it raises the hit rate", async () => {
    await client.flushdb();
    const cold = await hitRate();
    await client.flushdb();
    await yt3.shell(
      "from apps.core.cache_manager import TreeCache; TreeCache.warm_cache()\n" +
        "from apps.core.queries import ReportQueryRepository; ReportQueryRepository.warm_report_cache()",
    );
    const warm = await hitRate();
    expect([cold, warm]).toEqual([0, 1]);
  });

  test("cleaning old metrics lowers Redis's memory, and archiving moves them to the database", async () => {
    await yt3.manage("age_metrics", "--hours=30", "--count=5000");
    await yt3.manage("age_metrics", "--hours=1000", "--count=100");
    const full = await statistic("memory", "used_memory");
    expect(await yt3.manage("archive_metrics", "--days=30")).toContain('{"archived": 100}');
    expect(await query(databaseUrl, "SELECT count(*)::int AS n FROM monitoring_archivedmetric")).toEqual([{ n: 100 }]);
    const printed = await yt3.shell(
      "from monitoring.django_monitoring import metrics_collector; print(metrics_collector.cleanup_old_metrics(hours=6))",
    );
    expect(printed).toContain("{'removed': 5000}");
    expect(await statistic("memory", "used_memory")).toBeLessThan(full - 500_000);
  });

  test("the paths of the runbook tell what happened", async () => {
    expect(await served.get("/broken/")).toMatchObject({ code: 500 });
    expect(await served.get("/slow/?seconds=0.2")).toMatchObject({ code: 200 });
    expect(await served.get("/monitoring/health/")).toEqual({
      code: 200,
      body: { healthy: true, database: true, cache: true },
    });
    const slow = await served.get("/monitoring/performance/queries/?min_time=150");
    expect(slow.body).toEqual({ queries: [{ sql: "SELECT pg_sleep(%s)", ms: expect.any(Number) }] });
    expect((await served.get("/monitoring/performance/cache/")).body).toMatchObject({
      miss_patterns: { tree: 20, report: 20 },
    });
    expect((await served.get("/monitoring/dashboard/")).body).toMatchObject({ errors: { RuntimeError: 1 } });
    expect((await served.get("/monitoring/alerts/")).body).toMatchObject({ alerts: expect.any(Array) });
    const metrics = await served.get("/monitoring/metrics/");
    expect(metrics.body).toMatch(/^youtility3_response_time_p95_seconds \d/m);
    expect(metrics.body).toMatch(/^youtility3_error_ratio 0\.\d/m);
  });
});
