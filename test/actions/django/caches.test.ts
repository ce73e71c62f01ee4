import { clearCache } from "../../../src/actions/django/clear-cache.ts";
import { warmCaches } from "../../../src/actions/django/warm-caches.ts";
import { stats } from "../../../src/actions/redis/stats.ts";
import { redisService } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { djangoService } from "../../support/youtility3.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { createDjangoPatient, type DjangoPatient } from "./patient.ts";

let patient: DjangoPatient;
const services = djangoService.available ? redisService : djangoService;

services.describe("the caches of a real Django project", () => {
  beforeAll(async () => {
    patient = await createDjangoPatient();
  }, 90_000);

  afterAll(() => patient?.stop());

  describeContract("django.warm-caches", {
    input: {},
    hostile: [null, [], { names: ["os.system"] }, { calls: ["os.system"] }],
    healthy: () => ({ action: warmCaches, target: patient.target }),
    at: (port) => ({ action: warmCaches, target: patient.at(port) }),
    arrange: async () => {
      await patient.cache.flushdb();
    },
    state: () => patient.cached(),
  });

  describeContract("django.clear-cache", {
    input: {},
    hostile: [
      null,
      { cache: "" },
      { cache: "*" },
      { cache: "../default" },
      { cache: "default; import os" },
      { cache: "default\n" },
      { cache: ["default"] },
      { evenIfShared: "yes" },
      { call: "os.system" },
    ],
    healthy: () => ({ action: clearCache, target: patient.target }),
    at: (port) => ({ action: clearCache, target: patient.at(port) }),
    arrange: async () => {
      await patient.cache.flushdb();
      await patient.cache.mset(":1:tree:1", "x", ":1:report:1", "y");
    },
    state: () => patient.cached(),
  });

  test("warming calls what is configured, in its order, and tells what it answered", async () => {
    await patient.cache.flushdb();
    const planned = await warmCaches.plan({}, contextFor(patient.target));
    expect(planned).toMatchObject({
      plan: { calls: patient.yt3.django.warmUp },
      effects: patient.yt3.django.warmUp.map((name) => `call ${name}`),
    });
    const outcome = await warmCaches.apply({ calls: patient.yt3.django.warmUp }, contextFor(patient.target));
    expect(outcome).toEqual({
      status: "done",
      result: [
        { name: patient.yt3.django.warmUp[0], answer: { trees: 3 } },
        { name: patient.yt3.django.warmUp[1], answer: { reports: 3 } },
      ],
    });
    expect(Object.keys(await patient.cached())).toHaveLength(6);
  });

  test("warming raises the hit rate of the site as redis.stats measures it", async () => {
    const served = await patient.yt3.serve();
    const target = {
      ...patient.target,
      redis: { url: patient.yt3.env["YT3_REDIS_URL"] as string, keyPatterns: ["tree:*"] },
    };
    const roots = await patient.sql("SELECT id FROM core_location WHERE parent_id IS NULL");
    const rate = async () => {
      const seen = stats.observe({ windowSeconds: 2 }, contextFor(target));
      await until(async () => /cmd=info/.test(String(await patient.cache.client("LIST"))));
      for (const { id } of roots) for (const page of ["tree", "report"]) await served.get(`/${page}/${id}/`);
      const result = await seen;
      if (result.status !== "observed") throw new Error(result.reason);
      return result.output;
    };
    await patient.cache.flushdb();
    const cold = await rate();
    await patient.cache.flushdb();
    await warmCaches.apply({ calls: patient.yt3.django.warmUp }, contextFor(target));
    const warm = await rate();
    await served.stop();
    expect([cold, warm]).toMatchObject([
      { lookups: 6, hitRate: 0 },
      { lookups: 6, hitRate: 1 },
    ]);
  });

  test("a plan that names what the configuration no longer does is refused before anything is called", async () => {
    await patient.cache.flushdb();
    const outcome = await warmCaches.apply({ calls: ["os.getcwd"] }, contextFor(patient.target));
    expect(outcome).toMatchObject({ status: "failed", reason: expect.stringContaining("no longer in django.warmUp") });
    expect(await patient.cached()).toEqual({});
  });

  test("a cache that lives in each process is not warmed from outside", async () => {
    const target = patient.with({ settings: "local_cache" });
    await patient.yt3.shell(
      "open('local_cache.py', 'w').write('from youtility3.settings import *\\n" +
        'CACHES = {\\"default\\": {\\"BACKEND\\": \\"django.core.cache.backends.locmem.LocMemCache\\"}, \\"metrics\\": CACHES[\\"metrics\\"]}\\n\')',
    );
    const context = contextFor(target);
    const plans = [
      await warmCaches.plan({}, context),
      await clearCache.plan({ cache: "default", evenIfShared: false }, context),
    ];
    for (const planned of plans) {
      expect(planned).toMatchObject({ status: "failed", reason: expect.stringContaining("no other process shares") });
    }
  });

  test("a cache that shares its database is not cleared unless somebody says so", async () => {
    await patient.cache.flushdb();
    await patient.cache.mset(":1:tree:1", "x", "session:8c1f77", "somebody");
    const input = { cache: "default", evenIfShared: false };
    const planned = await clearCache.plan(input, contextFor(patient.target));
    expect(planned).toMatchObject({ status: "failed", reason: expect.stringContaining("such as session:…") });
    const place = `Redis 127.0.0.1:${patient.redis.port}, database 0`;
    const applied = await clearCache.apply({ ...input, place }, contextFor(patient.target));
    expect(applied).toMatchObject({ status: "failed", reason: expect.stringContaining("such as session:…") });
    expect(await patient.cache.dbsize()).toBe(2);
    const allowed = await clearCache.plan({ ...input, evenIfShared: true }, contextFor(patient.target));
    expect(allowed).toMatchObject({
      effects: [`empty the cache default (${place}, 2 keys, also those of others, such as session:…)`],
    });
  });

  test("an empty cache is nothing to do, and one that is not there is a clear failure", async () => {
    await patient.cache.flushdb();
    const input = { cache: "default", evenIfShared: false };
    expect(await clearCache.plan(input, contextFor(patient.target))).toMatchObject({ status: "planned", effects: [] });
    expect(await clearCache.plan({ ...input, cache: "other" }, contextFor(patient.target))).toMatchObject({
      status: "failed",
      reason:
        "The Django project of target shop cannot do this: the project has no cache other; it has default, metrics.",
    });
  });
});
