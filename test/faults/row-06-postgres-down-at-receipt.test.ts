/** Row 6: while the store is down or hangs, an alert is answered with 503 in time; once it is back, it has one run. */

import { cleaningUp } from "../support/clean-up.ts";
import { query, startPostgres } from "../support/postgres.ts";
import { startService } from "../support/service.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(90_000);
const afterwards = cleaningUp();

/** What the answer may take beyond the two seconds on a busy machine. */
const toleranceMs = 400;

test("Postgres down or hanging: 503 within two seconds; when it is back, the repeated alert has one run", async () => {
  const server = await startPostgres();
  afterwards(() => server.stop());
  const proxy = await startTcpProxy(server.port);
  afterwards(() => proxy.stop());
  const through = new URL(server.url);
  through.port = String(proxy.port);
  const ward = await createWard();
  const service = await startService({
    program: "counting",
    databaseUrl: through.href,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick")],
  });
  const alert = {
    labels: { alertname: "sick", service: "w1" },
    fingerprint: "00000000000000f6",
    startsAt: "2026-11-22T10:00:00Z",
  };

  await service.ready();
  // BullMQ's worker cannot lose its Postgres while it makes its first connection; it names itself when it is done.
  const named = "SELECT FROM pg_stat_activity WHERE application_name LIKE '%runs%'";
  await until(async () => (await query(server.url, named)).length > 0, { what: "the queue's worker to be connected" });
  await server.stop();
  const down = await service.notify([alert]);
  expect(down).toMatchObject({ status: 503, body: { type: expect.stringMatching(/not-stored$/) } });
  expect(down.ms).toBeLessThan(2_000 + toleranceMs);
  expect(await service.api("GET", "/readyz")).toMatchObject({ status: 503, body: { store: "unusable" } });
  await server.start();

  await proxy.hang();
  const hanging = await service.notify([alert]);
  expect(hanging.status).toBe(503);
  expect(hanging.ms).toBeLessThan(2_000 + toleranceMs);
  await proxy.restore();

  // As Alertmanager does, until it is taken.
  const taken = await until(
    async () => {
      const answer = await service.notify([alert]);
      return answer.status === 200 ? answer : null;
    },
    { timeoutMs: 20_000, what: "the alert to be taken" },
  );
  expect((await service.ended(taken.body.runs[0].id)).outcome).toBe("fixed");
  expect((await service.api("GET", "/api/v1/runs")).body.runs).toHaveLength(1);
  expect(await ward.effects()).toHaveLength(1);
  await service.stop();
});
