import { createMetrics } from "../../src/telemetry/metrics.ts";

async function lines(metrics: ReturnType<typeof createMetrics>): Promise<readonly string[]> {
  return (await metrics.render()).split("\n");
}

test("what is counted is rendered under its name", async () => {
  const metrics = createMetrics({ version: "1.2.3" });
  metrics.alertsAccepted(19);
  metrics.alertIgnored("invalid");
  metrics.webhookAnswered(200);
  metrics.runEnded("fixed", "database-overload");
  metrics.stepEnded("postgres.activity", "done", 20);
  metrics.railHit("budget");
  metrics.hintsReadded(3);
  metrics.hintsFailed(1);
  metrics.escalated();
  metrics.takenOver();
  metrics.leaseLost();
  expect(await lines(metrics)).toEqual(
    expect.arrayContaining([
      "paramedic_alerts_accepted_total 19",
      'paramedic_alerts_ignored_total{reason="invalid"} 1',
      'paramedic_alerts_ignored_total{reason="no-target"} 0',
      'paramedic_webhook_requests_total{code="200"} 1',
      'paramedic_runs_ended_total{outcome="fixed",playbook="database-overload"} 1',
      'paramedic_step_duration_seconds_bucket{le="0.005",action="postgres.activity",result="done"} 0',
      'paramedic_step_duration_seconds_bucket{le="0.025",action="postgres.activity",result="done"} 1',
      'paramedic_step_duration_seconds_sum{action="postgres.activity",result="done"} 0.02',
      'paramedic_rails_hit_total{rail="budget"} 1',
      "paramedic_queue_hints_readded_total 3",
      "paramedic_queue_hint_failures_total 1",
      "paramedic_escalations_total 1",
      "paramedic_run_takeovers_total 1",
      "paramedic_leases_lost_total 1",
      `paramedic_build_info{version="1.2.3",node_version="${process.version}"} 1`,
    ]),
  );
  expect(metrics.contentType).toContain("text/plain; version=0.0.4");
});

test("every name is ours or one of the process, and registries do not share counts", async () => {
  createMetrics().alertsAccepted(5);
  const names = (await lines(createMetrics())).filter((line) => line !== "" && !line.startsWith("#"));
  expect(names.filter((name) => !/^(paramedic|process|nodejs)_/.test(name))).toEqual([]);
  expect(names).toContain("paramedic_alerts_accepted_total 0");
});

test("what is observed is looked up at each reading", async () => {
  const metrics = createMetrics();
  let pending = 1;
  metrics.observe({
    oldestDueSeconds: async () => 1.5,
    approvalsPending: async () => pending,
    heartbeatSeconds: null,
    deadNotices: async () => 0,
  });
  expect(await lines(metrics)).toEqual(
    expect.arrayContaining(["paramedic_oldest_due_run_age_seconds 1.5", "paramedic_approvals_pending 1"]),
  );
  pending = 2;
  expect(await lines(metrics)).toContain("paramedic_approvals_pending 2");
});

test("an observation that fails or hangs is NaN after a second, and everything else is still there", async () => {
  const metrics = createMetrics();
  metrics.alertsAccepted(1);
  metrics.observe({
    oldestDueSeconds: () => Promise.reject(new Error("no store")),
    approvalsPending: () => new Promise(() => {}),
    heartbeatSeconds: null,
    deadNotices: async () => 0,
  });
  const started = performance.now();
  const text = await lines(metrics);
  expect(performance.now() - started).toBeLessThan(3_000);
  expect(text.filter((line) => /^paramedic_(oldest|approvals)/.test(line))).toEqual([
    expect.stringMatching(/^paramedic_oldest_due_run_age_seconds nan$/i),
    expect.stringMatching(/^paramedic_approvals_pending nan$/i),
  ]);
  expect(text).toContain("paramedic_alerts_accepted_total 1");
});
