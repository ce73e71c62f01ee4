/** Row 13: a worker that is frozen past its lease and wakes up again has lost its run: it changes nothing and writes nothing. */

import { sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis, type TestRedis } from "../support/redis.ts";
import { killServices, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(90_000);

redisService.describe("a worker that is frozen past its lease", () => {
  let redis: TestRedis;

  beforeAll(async () => {
    redis = await startRedis();
  });

  afterEach(killServices);
  afterAll(() => redis?.stop());

  test.each([
    ["after-intent", "ward.heal"],
    ["after-intent", "ward.heal-once"],
    ["after-effect", "ward.heal"],
    ["after-effect", "ward.heal-once"],
  ])("at %s of %s: the second holder wins, the first one is refused, one effect", async (point, heal) => {
    const ward = await createWard();
    const shared = {
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      targets: ward.targets(1),
      playbooks: [wardPlaybook("sick", { heal })],
      worker: { lease: "1s", reconcileEvery: "1s" },
    } as const;
    const first = await startService({
      ...shared,
      redisUrl: redis.url,
      env: { STOP_AT: point, STOP_BY: "SIGSTOP" },
    });
    await first.ready();
    const { pid } = first.child;
    const id = await first.fire({ alertname: "sick", service: "w1" }).catch(() => null);
    // The second one has a queue of its own: it finds the run in the store, as after any other loss.
    const second = await startService({ ...shared, redisUrl: `${redis.url}/1` });
    const { body } = await second.api("GET", "/api/v1/runs");
    const run = await second.ended(id ?? body.runs[0].id);
    expect(run).toMatchObject({ outcome: "fixed" });

    process.kill(pid, "SIGCONT");
    await until(() => /another worker's now|applied nothing|cannot be counted on/.test(first.child.output()), {
      what: () => `the first worker to see that it lost its run (${first.child.output()})`,
    });
    expect((await first.stop()).code).toBe(0);
    expect(await ward.effects()).toEqual([point === "after-effect" ? pid : second.child.pid]);
    const { events } = await second.run(run.id);
    expect(events).toEqual(run.events);
    expect(events.filter(({ type }) => type === "taken-over")).toHaveLength(1);
    await second.stop();
  });

  test("before its intent, awake again while the second holder applies: its intent is refused by the fence", async () => {
    const ward = await createWard();
    const shared = {
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      targets: ward.targets(1),
      playbooks: [wardPlaybook("sick", { step: "with: { beforeMs: 2500 }" })],
      worker: { lease: "1s", reconcileEvery: "1s" },
    } as const;
    const first = await startService({
      ...shared,
      redisUrl: `${redis.url}/2`,
      env: { STOP_AT: "before-intent", STOP_BY: "SIGSTOP" },
    });
    await first.ready();
    await first.fire({ alertname: "sick", service: "w1" }).catch(() => null);
    const second = await startService({ ...shared, redisUrl: `${redis.url}/3` });
    await until(async () => (await ward.applies()).length === 1, { what: "the second one to apply" });
    process.kill(first.child.pid, "SIGCONT");
    await until(() => first.child.output().includes("another worker's now"), {
      what: () => `the first worker to be refused (${first.child.output()})`,
    });
    const { body } = await second.api("GET", "/api/v1/runs");
    const run = await second.ended(body.runs[0].id);
    expect(run).toMatchObject({ outcome: "fixed" });
    expect(run.events.filter(({ type }) => type === "step-started")).toHaveLength(1);
    expect(await ward.applies()).toEqual([second.child.pid]);
    expect(await ward.effects()).toEqual([second.child.pid]);
    await first.stop();
    await second.stop();
  });
});
