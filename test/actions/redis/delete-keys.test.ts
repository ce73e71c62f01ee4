import { type DeleteKeysPlan, deleteKeys } from "../../../src/actions/redis/delete-keys.ts";
import type { Planned } from "../../../src/domain/action.ts";
import { redisService } from "../../support/redis.ts";
import { until } from "../../support/until.ts";
import { canary, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { createRedisPatient, type RedisPatient } from "./patient.ts";

let patient: RedisPatient;
const pattern = "*tree:*";

async function planned(): Promise<Extract<Planned<DeleteKeysPlan>, { status: "planned" }>> {
  const result = await deleteKeys.plan({ pattern }, contextFor(patient.target));
  if (result.status !== "planned") throw new Error(result.reason);
  return result;
}

redisService.describe("redis.delete-keys on a real Redis", () => {
  beforeAll(async () => {
    patient = await createRedisPatient([pattern, "report:[0-9]*"]);
  });

  afterAll(() => patient?.stop());

  describeContract("redis.delete-keys", {
    input: { pattern },
    hostile: [
      {},
      null,
      { pattern: "" },
      { pattern: "*" },
      { pattern: " * " },
      { pattern: "?*[a-z]" },
      { pattern: "tree:*\r\nFLUSHALL\r\n" },
      { pattern: "tree:\0*" },
      { pattern: `tree:${"a".repeat(300)}` },
      { pattern: ["tree:*"] },
      { pattern: "tree:*", atMost: 1 },
      JSON.parse('{"pattern": "tree:*", "__proto__": {"force": true}}'),
    ],
    healthy: () => ({ action: deleteKeys, target: patient.target }),
    at: (port) => ({ action: deleteKeys, target: patient.at(port) }),
    arrange: async () => {
      await patient.client.flushall();
      await patient.fill(":1:tree:", 30);
      await patient.client.set("session:1", "kept");
    },
    state: () => patient.contents(),
    midway: {
      hold: async () => {
        await patient.client.call("CLIENT", "PAUSE", 600_000, "WRITE");
        const clients = async () => String(await patient.client.client("LIST"));
        return {
          inside: async () => / cmd=unlink /.test(await clients()),
          release: () => patient.client.call("CLIENT", "UNPAUSE"),
        };
      },
      told: { status: "unknown", reason: expect.stringContaining("not all") },
    },
  });

  test("only what matches is deleted, binary names included", async () => {
    await patient.client.flushall();
    await patient.fill("tree:", 2_500);
    await patient.client.set(Buffer.from([0x74, 0x72, 0x65, 0x65, 0x3a, 0xff, 0x00]), "binary");
    await patient.client.mset("tre:1", "kept", "session:1", "kept", "report:7", "kept");
    const { plan } = await planned();
    const outcome = await deleteKeys.apply(plan, contextFor(patient.target));
    expect(outcome).toEqual({ status: "done", result: { deleted: 2_501 } });
    expect(await patient.contents()).toEqual({ "tre:1": "kept", "session:1": "kept", "report:7": "kept" });
  });

  test("the plan counts and shows some keys, and stays the same while keys come and go", async () => {
    await patient.client.flushall();
    expect(await planned()).toEqual({ status: "planned", plan: { pattern, atMost: 0 }, effects: [] });
    await patient.fill("tree:", 200);
    const first = await planned();
    expect(first.plan).toEqual({ pattern, atMost: 1_000 });
    expect(first.effects).toEqual([
      expect.stringMatching(/^delete 200 keys that match \*tree:\* \(at most 1000\), such as (tree:\d+, ){5}…$/),
    ]);
    await patient.fill("tree:", 300);
    expect((await planned()).plan).toEqual(first.plan);
    await patient.fill("tree:", 600);
    expect((await planned()).plan).not.toEqual(first.plan);
  });

  test("it stops where there are more keys than the plan allows", async () => {
    await patient.client.flushall();
    await patient.fill("tree:", 3);
    const { plan } = await planned();
    await patient.fill("tree:", 5_000);
    const outcome = await deleteKeys.apply(plan, contextFor(patient.target));
    expect(outcome).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("More keys match"),
      retryable: false,
    });
    expect(await patient.client.dbsize()).toBeGreaterThanOrEqual(5_000 - plan.atMost);
  });

  test("a pattern that the target does not list reaches no command, however it is written", async () => {
    await patient.client.flushall();
    await patient.fill("tree:", 10);
    const spy = patient.client.duplicate({ password: canary });
    const monitor = await spy.monitor();
    const seen: string[] = [];
    monitor.on("monitor", (_time: string, words: string[]) => seen.push(words.join(" ")));
    try {
      const payloads = [
        "tree:*",
        "*TREE:*",
        "*tree:* ",
        "**tree:*",
        "report:[0-9]",
        "session:*",
        "$(id)",
        "__proto__",
        "../*",
      ];
      for (const payload of payloads) {
        const hostile = deleteKeys.input.safeParse({ pattern: payload });
        expect(hostile).toMatchObject({ success: true });
        const context = contextFor(patient.target);
        expect(await deleteKeys.plan({ pattern: payload }, context)).toMatchObject({
          status: "failed",
          retryable: false,
        });
        expect(await deleteKeys.apply({ pattern: payload, atMost: 10 }, context)).toMatchObject({ status: "failed" });
      }
      await patient.client.echo("the end");
      await until(() => seen.some((line) => line.includes("the end")));
    } finally {
      monitor.disconnect();
      spy.disconnect();
    }
    expect(seen.filter((line) => /scan|unlink|del|flush/i.test(line))).toEqual([]);
    expect(await patient.client.dbsize()).toBe(10);
  });

  test("of a million keys none of its commands is so large that others would wait for it", async () => {
    const keys = 1_000_000;
    await patient.client.flushall();
    const fill = "for i = ARGV[1], ARGV[2] do redis.call('SET', ':1:tree:' .. i, 'a cached tree') end";
    for (let from = 0; from < keys; from += 10_000) await patient.client.eval(fill, 0, from, from + 9_999);
    await patient.client.config("RESETSTAT");
    const { plan } = await planned();
    const planning = await served(["scan"]);
    await patient.client.config("RESETSTAT");
    expect(await deleteKeys.apply(plan, contextFor(patient.target))).toEqual({
      status: "done",
      result: { deleted: keys },
    });
    const applying = await served(["scan", "unlink"]);
    // By how many keys a command is of and by the server's own clock: what else this machine does then counts little.
    for (const { calls, p99Us } of [...planning, ...applying]) {
      expect(keys / calls).toBeLessThan(600);
      expect(p99Us).toBeLessThan(10_000);
    }
  }, 120_000);

  /** How often Redis served each of the commands, and how long it took at most for 99 of 100, in microseconds. */
  async function served(commands: readonly string[]): Promise<readonly { calls: number; p99Us: number }[]> {
    const told = (await patient.client.call("LATENCY", "HISTOGRAM", ...commands)) as unknown[];
    return commands.map((command) => {
      const [, calls, , histogram] = told[told.indexOf(command) + 1] as [string, number, string, number[]];
      const within = histogram.findIndex((count, index) => index % 2 === 1 && count >= calls * 0.99);
      return { calls, p99Us: histogram[within - 1] ?? Number.POSITIVE_INFINITY };
    });
  }

  test("an abort in the middle leaves the rest, and says that it cannot tell how much is gone", async () => {
    await patient.client.flushall();
    await patient.fill("tree:", 100_000);
    const { plan } = await planned();
    const abort = new AbortController();
    const outcome = deleteKeys.apply(plan, contextFor(patient.target, abort.signal));
    await until(async () => (await patient.client.dbsize()) < 99_000, { everyMs: 1 });
    abort.abort();
    expect(await outcome).toMatchObject({ status: "unknown" });
    expect(await patient.client.dbsize()).toBeGreaterThan(0);
  });
});
