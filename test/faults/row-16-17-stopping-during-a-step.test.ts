/** Rows 16 and 17: SIGTERM during a step. The process ends within its drain with exit code 0, whether Redis is there or not. */

import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis } from "../support/redis.ts";
import { type ServiceOptions, startService } from "../support/service.ts";
import { createSickDatabase, impatientOverloadPlaybook } from "../support/sick-database.ts";
import { until } from "../support/until.ts";

jest.setTimeout(60_000);

const drainMs = 6_000;
/** What the end of the process itself may take on a busy machine. */
const toleranceMs = 1_500;

redisService.describe("SIGTERM during a step", () => {
  const afterwards = cleaningUp();

  test.each([
    ["Redis up", "finishes and hands over", 3],
    ["Redis killed", "finishes and hands over", 3],
    ["Redis killed", "is stopped and told", 40],
  ] as const)("with %s: the step %s, exit 0 within the drain", async (state, how, seconds) => {
    const redis = await startRedis();
    afterwards(() => redis.stop());
    const patient = await createSickDatabase("shop");
    afterwards(() => patient.closeSessions());
    await patient.addStubborn();
    const options: ServiceOptions = {
      databaseUrl: (await sharedPostgres()).url,
      redisUrl: redis.url,
      targets: { shop: patient.asTarget },
      playbooks: [await impatientOverloadPlaybook()],
      worker: { lease: "2s", drain: `${drainMs / 1_000}s`, reconcileEvery: "1s" },
    };
    const service = await startService(options);
    await service.ready();
    const session = await patient.session();
    session.start(`SELECT stubborn(${seconds + 1.5})`);
    await until(async () => {
      const [row] = await patient.admin(
        "SELECT clock_timestamp() - query_start > interval '1.2 s' AS old FROM pg_stat_activity WHERE pid = $1",
        [session.pid],
      );
      return row?.["old"];
    });
    const id = await service.fire({ alertname: "DatabaseOverload", severity: "critical", service: "shop" });
    await until(async () => (await service.run(id)).events.some(({ type }) => type === "step-started"), {
      what: "the step to be under way",
    });
    if (state === "Redis killed") await redis.kill();
    const asked = performance.now();
    const exit = await service.stop();
    expect(performance.now() - asked).toBeLessThan(drainMs + toleranceMs);
    expect(exit).toEqual({ code: 0, signal: null });

    if (state === "Redis killed") await redis.start();
    await service.start();
    const run = await service.ended(id);
    const types = run.events.map(({ type }) => type);
    // It was handed over in order: nobody had to wait for its lease.
    expect(types).not.toContain("taken-over");
    if (how === "finishes and hands over") {
      expect(run.outcome).toBe("fixed");
      expect(types.filter((type) => type === "step-started")).toHaveLength(1);
    } else expect(run.outcome).toBe("failed");
    await service.stop();
  });
});
