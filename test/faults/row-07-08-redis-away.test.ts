/** Rows 7 and 8: alerts are taken and answered by runs whether Redis is up, is killed, or was never there. */

import { cleaningUp } from "../support/clean-up.ts";
import { freePort } from "../support/free-port.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { redisService, startRedis } from "../support/redis.ts";
import { type ServiceOptions, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(60_000);

async function optionsOf(ward: Ward, port: number): Promise<ServiceOptions & { readonly databaseUrl: string }> {
  return {
    program: "counting",
    databaseUrl: (await sharedPostgres()).url,
    redisUrl: `redis://127.0.0.1:${port}`,
    targets: ward.targets(3),
    playbooks: [wardPlaybook("sick")],
  };
}

redisService.describe("Redis away", () => {
  const afterwards = cleaningUp();

  test("killed at receipt: the alert is answered with 200, stored and healed, and again when Redis is back", async () => {
    const redis = await startRedis();
    afterwards(() => redis.stop());
    const ward = await createWard();
    const options = await optionsOf(ward, redis.port);
    const service = await startService(options);
    await service.ready();
    expect((await service.ended(await service.fire({ alertname: "sick", service: "w1" }))).outcome).toBe("fixed");
    expect(service.child.output()).not.toContain("did not take hints");

    await redis.kill();
    const answer = await service.notify([{ labels: { alertname: "sick", service: "w2" } }]);
    expect(answer.status).toBe(200);
    expect(answer.ms).toBeLessThan(2_000);
    const { id } = answer.body.runs[0];
    expect(await query(options.databaseUrl, "SELECT 1 AS found FROM paramedic.runs WHERE id = $1", [id])).toEqual([
      { found: 1 },
    ]);
    expect(await service.api("GET", "/readyz")).toMatchObject({
      status: 200,
      body: { store: "ok", queue: "degraded" },
    });
    expect((await service.ended(id)).outcome).toBe("fixed");

    await redis.start();
    await service.ready();
    expect((await service.ended(await service.fire({ alertname: "sick", service: "w3" }))).outcome).toBe("fixed");
    expect(await ward.effects()).toHaveLength(3);
    await service.stop();
  });

  test("down before the start: it starts, says degraded, answers at once, heals, and is whole when Redis comes", async () => {
    const port = await freePort();
    const ward = await createWard();
    const service = await startService(await optionsOf(ward, port));
    expect(await service.api("GET", "/readyz")).toMatchObject({
      status: 200,
      body: { store: "ok", queue: "degraded" },
    });
    const answer = await service.notify([{ labels: { alertname: "sick", service: "w1" } }]);
    expect(answer.status).toBe(200);
    expect(answer.ms).toBeLessThan(2_000);
    expect((await service.ended(answer.body.runs[0].id)).outcome).toBe("fixed");

    const redis = await startRedis({ port });
    afterwards(() => redis.stop());
    await until(async () => (await service.api("GET", "/readyz")).body.queue === "ok", {
      timeoutMs: 25_000,
      what: "the queue to be found",
    });
    expect((await service.ended(await service.fire({ alertname: "sick", service: "w2" }))).outcome).toBe("fixed");
    expect(await ward.effects()).toHaveLength(2);
    await service.stop();
  });
});
