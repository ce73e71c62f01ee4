/** Slack and Redis are down at once: PagerDuty is told in time all the same, of what was handed over and of what could not be asked. */

import { byPagerDuty, type Callers, calling, pages, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis } from "../support/redis.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();

redisService.describe("Slack and Redis down at once", () => {
  test("PagerDuty is told of a run that could not heal and of a question that could not be asked, each in its time", async () => {
    const callers: Callers = await startCallers();
    afterwards(() => callers.stop());
    const redis = await startRedis();
    afterwards(() => redis.stop());
    const ward = await createWard();
    const service = await startService({
      ...calling(callers, {
        escalateAfter: "2s",
        levels: [
          { after: "0s", slack: "#ops" },
          { after: "2s", pagerduty: byPagerDuty },
        ],
      }),
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      redisUrl: redis.url,
      targets: ward.targets(2),
      playbooks: [
        wardPlaybook("asks", { step: "approval: always", extra: "escalate: database" }),
        // Its check cannot hold.
        wardPlaybook("helpless", { extra: "escalate: database" }).replace("!output.sick", "output.effects < 0"),
      ],
    });
    await service.ready();
    callers.slack.fail("*", "hang");
    await redis.kill();
    const fired = performance.now();
    const helpless = await service.fire({ alertname: "helpless", service: "w1" });
    const asks = await service.fire({ alertname: "asks", service: "w2" });
    const pageOf = (run: string) => pages(callers).find(({ body }) => JSON.stringify(body).includes(run));
    await until(() => pageOf(helpless) && pageOf(asks), {
      what: () =>
        `PagerDuty to be told of both: ${JSON.stringify(pages(callers))} ${service.child.output().slice(-3_000)}`,
      timeoutMs: 30_000,
    });
    // Ten seconds of waiting for the announcement, two of verification, two to the level, and what the rounds take.
    expect(performance.now() - fired).toBeLessThan(20_000);
    expect((await service.run(helpless)).outcome).toBe("ineffective");
    expect(await service.run(asks)).toMatchObject({ state: "waiting", waitingFor: "approval" });
    expect(await ward.effects("w2")).toEqual([]);
    const { body } = await service.api("GET", "/readyz");
    expect(body).toMatchObject({ store: "ok", queue: "degraded", outbox: "failing" });
    await service.stop();
  });
});
