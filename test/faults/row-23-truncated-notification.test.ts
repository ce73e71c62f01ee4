/** Row 23: where a real Alertmanager cuts its notification (`max_alerts`), the run knows that it has not seen everything. */

import { alertmanagerService, startAlertmanager } from "../support/alertmanager.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { startService, tokens } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(60_000);

alertmanagerService.describe("a notification that Alertmanager cut", () => {
  const afterwards = cleaningUp();

  test("five alerts with max_alerts 1: one run, marked as partial", async () => {
    const ward = await createWard();
    const service = await startService({
      program: "counting",
      databaseUrl: (await sharedPostgres()).url,
      targets: ward.targets(5),
      playbooks: [wardPlaybook("sick")],
    });
    const alertmanager = await startAlertmanager({
      webhookUrl: service.webhookUrl,
      token: tokens.alertmanager,
      maxAlerts: 1,
    });
    afterwards(() => alertmanager.stop());
    await alertmanager.post(
      ["w1", "w2", "w3", "w4", "w5"].map((name) => ({ labels: { alertname: "sick", service: name } })),
    );
    const [line] = await until(async () => {
      const { runs } = (await service.api("GET", "/api/v1/runs")).body;
      return runs.length > 0 && runs;
    });
    const run = await service.ended(line.id);
    expect(run.trigger).toMatchObject({ kind: "alert", partial: true });
    expect((await service.api("GET", "/api/v1/runs")).body.runs).toHaveLength(1);
    await service.stop();
  });
});
