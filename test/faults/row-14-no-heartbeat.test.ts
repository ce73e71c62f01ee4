/** Row 14: a worker that cannot reach the store to keep its lease stops its own step before the lease can pass on. */

import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { startService } from "../support/service.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(60_000);
const afterwards = cleaningUp();

test.each(["hang", "cut"] as const)(
  "the way to the store is %s: the step is aborted while the lease still holds",
  async (fault) => {
    const server = await sharedPostgres();
    const proxy = await startTcpProxy(server.port);
    afterwards(() => proxy.stop());
    const ward = await createWard();
    const through = new URL(server.url);
    through.port = String(proxy.port);
    const service = await startService({
      program: "counting",
      databaseUrl: through.href,
      targets: ward.targets(1),
      playbooks: [wardPlaybook("sick", { step: "with: { beforeMs: 30000 }" })],
      worker: { lease: "3s", drain: "0s" },
    });
    await service.fire({ alertname: "sick", service: "w1" });
    await until(async () => (await ward.applies()).length === 1);
    await proxy[fault]();
    await until(async () => (await ward.aborts()).length === 1, { what: "the step to be aborted" });
    const [lease] = await query(server.url, "SELECT lease_until AS at FROM paramedic.runs");
    const [abort] = await query(ward.url, "SELECT at FROM aborts");
    expect(timeOf(abort)).toBeLessThan(timeOf(lease));
    expect(await ward.effects()).toEqual([]);
  },
);

function timeOf(row: Record<string, unknown> | undefined): number {
  return (row as { at: Date }).at.getTime();
}
