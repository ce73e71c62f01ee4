import { roundTrip } from "../../../src/actions/redis/round-trip.ts";
import { stats } from "../../../src/actions/redis/stats.ts";
import { redisService } from "../../support/redis.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { type Contract, describeContract } from "../contract.ts";
import { createRedisPatient, type RedisPatient } from "./patient.ts";

let patient: RedisPatient;

redisService.describe("looking at a real Redis", () => {
  beforeAll(async () => {
    patient = await createRedisPatient(["tree:*"]);
    await patient.client.set("kept", "yes");
  });

  afterAll(() => patient?.stop());

  const contractOf = (action: typeof stats | typeof roundTrip, input: object): Contract => ({
    input,
    hostile: [null, [], { windowSeconds: 0 }, { windowSeconds: 61 }, { windowSeconds: "5" }, { section: "all" }],
    healthy: () => ({ action, target: patient.target }),
    at: (port) => ({ action, target: patient.at(port) }),
    state: () => patient.contents(),
  });
  describeContract("redis.stats", contractOf(stats, { windowSeconds: 1 }));
  describeContract("redis.round-trip", { ...contractOf(roundTrip, {}), seesVanished: true });

  /** What is seen while `lookUp` looks keys up, again and again. */
  async function seenWhile(lookUp: () => Promise<unknown>) {
    let looking = true;
    const lookups = (async () => {
      while (looking) await lookUp();
    })();
    const seen = await stats.observe({ windowSeconds: 1 }, contextFor(patient.target));
    looking = false;
    await lookups;
    if (seen.status !== "observed") throw new Error(seen.reason);
    return seen.output;
  }

  test("the hit rate is that of the window, whatever happened before", async () => {
    for (let round = 0; round < 500; round++) await patient.client.get("missing");
    const good = await seenWhile(() => patient.client.get("kept"));
    expect(good).toMatchObject({ hitRate: 1, misses: 0, keys: 1, maxMemoryBytes: 0 });
    expect(good.hits).toBeGreaterThan(10);
    expect(good.hitRateSinceStart).toBeLessThan(1);
    const bad = await seenWhile(() => patient.client.mget("kept", "a", "b", "c"));
    expect(bad.hitRate).toBeCloseTo(0.25, 1);
  });

  test("a window without lookups has no hit rate, rather than a good or a bad one", async () => {
    const quiet = await seenWhile(() => patient.client.ping());
    expect(quiet).toMatchObject({ lookups: 0 });
    expect(quiet).not.toHaveProperty("hitRate");
  });

  test("evictions and the memory of a full cache show", async () => {
    await patient.client.config("SET", "maxmemory-policy", "allkeys-lru");
    await patient.client.config("SET", "maxmemory", "3mb");
    let written = 0;
    // Full before the window begins, however slowly it is written to inside it.
    const filling = patient.client.pipeline();
    while (written < 1_500) filling.set(`filler:${written++}`, "x".repeat(2_000));
    await filling.exec();
    const full = await seenWhile(() => patient.client.set(`filler:${written++}`, "x".repeat(2_000)));
    await patient.client.config("SET", "maxmemory", "0");
    await patient.client.flushall();
    await patient.client.set("kept", "yes");
    expect(full.evictions).toBeGreaterThan(0);
    expect(full.memoryRatio).toBeGreaterThan(0.8);
  });

  test("the slow log names commands and families of keys, never a whole key or a value", async () => {
    await patient.client.config("SET", "slowlog-log-slower-than", "0");
    await patient.client.set("session:8c1f77", "a-value-of-somebody");
    await patient.client.config("SET", "slowlog-log-slower-than", "10000000");
    const seen = await seenWhile(() => patient.client.ping());
    expect(seen.slowest).toContainEqual({
      command: "SET",
      keys: "session:…",
      milliseconds: expect.any(Number),
      secondsAgo: expect.any(Number),
    });
    expect(JSON.stringify(seen)).not.toMatch(/8c1f77|somebody/);
  });

  test("an abort ends the window at once", async () => {
    const abort = new AbortController();
    const seen = stats.observe({ windowSeconds: 60 }, contextFor(patient.target, abort.signal));
    await until(async () => (await patient.client.info("clients")).includes("connected_clients:2"));
    abort.abort();
    expect(await seen).toMatchObject({ status: "failed", retryable: true });
  });

  test("a Redis that takes no writes is seen as one", async () => {
    await patient.client.config("SET", "maxmemory-policy", "noeviction");
    await patient.client.config("SET", "maxmemory", "1");
    const seen = await roundTrip.observe({}, contextFor(patient.target));
    await patient.client.config("SET", "maxmemory", "0");
    expect(seen).toMatchObject({ status: "observed", output: { works: false, refusal: "OOM" } });
  });

  test.each([
    ["one that refuses connections", "cut", /^cannot be reached: Redis of target shop .* refused the connection/],
    ["one that says nothing", "hang", /^cannot be reached: Redis of target shop .* did not answer within 5 s/],
  ] as const)("%s is seen as one that does not work", async (_, harm, refusal) => {
    const proxy = await startTcpProxy(patient.server.port);
    try {
      await proxy[harm]();
      const seen = await roundTrip.observe({}, contextFor(patient.at(proxy.port)));
      expect(seen).toMatchObject({ status: "observed", output: { works: false } });
      expect(seen.status === "observed" && seen.output.refusal).toMatch(refusal);
    } finally {
      await proxy.stop();
    }
  });

  test("one that is lost between writing and reading is seen as one that does not work", async () => {
    const proxy = await startTcpProxy(patient.server.port);
    try {
      proxy.delay(200);
      const seen = roundTrip.observe({}, contextFor(patient.at(proxy.port)));
      await until(async () => Object.keys(await patient.contents()).some((key) => key.startsWith("paramedic:")));
      await proxy.cut();
      expect(await seen).toMatchObject({
        output: { works: false, refusal: expect.stringMatching(/^cannot be reached: /) },
      });
    } finally {
      await proxy.stop();
      await patient.client.flushall();
    }
  });
});
