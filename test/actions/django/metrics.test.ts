import { archiveMetrics } from "../../../src/actions/django/archive-metrics.ts";
import { cleanupMetrics } from "../../../src/actions/django/cleanup-metrics.ts";
import { report } from "../../../src/actions/django/report.ts";
import { redisService } from "../../support/redis.ts";
import { djangoService } from "../../support/youtility3.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { createDjangoPatient, type DjangoPatient } from "./patient.ts";

let patient: DjangoPatient;
const services = djangoService.available ? redisService : djangoService;
const getMetrics = "monitoring.django_monitoring.metrics_collector.get_metrics";

services.describe("the metrics of a real Django project", () => {
  beforeAll(async () => {
    patient = await createDjangoPatient();
  }, 90_000);

  afterAll(() => patient?.stop());

  describeContract("django.cleanup-metrics", {
    input: { hours: 6 },
    hostile: [
      {},
      null,
      { hours: 0 },
      { hours: -1 },
      { hours: 1.5 },
      { hours: "6" },
      { hours: "6); import os" },
      { hours: Number.NaN },
      { hours: 6, call: "os.system" },
    ],
    healthy: () => ({ action: cleanupMetrics, target: patient.target }),
    at: (port) => ({ action: cleanupMetrics, target: patient.at(port) }),
    arrange: async () => {
      await patient.metrics.flushdb();
      await patient.age(7, 20);
      await patient.age(1, 5);
    },
    state: () => patient.recorded(),
  });

  describeContract("django.archive-metrics", {
    input: { days: 30 },
    hostile: [{}, null, { days: 0 }, { days: "30" }, { days: "--all" }, { days: 30, hours: 1 }],
    healthy: () => ({ action: archiveMetrics, target: patient.target }),
    at: (port) => ({ action: archiveMetrics, target: patient.at(port) }),
    arrange: async () => {
      await patient.metrics.flushdb();
      await patient.age(1000, 20);
    },
    state: async () => [await patient.recorded(), await patient.sql("SELECT count(*) FROM monitoring_archivedmetric")],
  });

  describeContract("django.report", {
    input: { name: "monitoring.views.get_performance_summary", arguments: { minutes: 5 } },
    hostile: [
      {},
      null,
      { name: "" },
      { name: "os" },
      { name: "os.system; id" },
      { name: "../views.x" },
      { name: "monitoring.views.get_performance_summary\n" },
      { name: "a.b", arguments: { __class__: 1 } },
      { name: "a.b", arguments: { x: ["id"] } },
      { name: "a.b", arguments: { x: { y: 1 } } },
      { name: "a.b", arguments: { x: "a".repeat(1_001) } },
      { name: "a.b", args: ["id"] },
    ],
    healthy: () => ({ action: report, target: patient.target }),
    at: (port) => ({ action: report, target: patient.at(port) }),
    state: () => patient.recorded(),
  });

  async function usedMemory(): Promise<number> {
    return Number(/^used_memory:(\d+)/m.exec(await patient.metrics.info("memory"))?.[1]);
  }

  test("cleaning removes what is old, lowers the memory and leaves the rest", async () => {
    await patient.metrics.flushdb();
    await patient.age(7, 5_000);
    await patient.age(1, 3);
    const context = contextFor(patient.target);
    const planned = await cleanupMetrics.plan({ hours: 6 }, context);
    expect(planned).toMatchObject({
      effects: [expect.stringMatching(/^remove 5000 metrics that are older than 6 hours \(monitoring\./)],
    });
    if (planned.status !== "planned") return;
    const before = await usedMemory();
    expect(await cleanupMetrics.apply(planned.plan, context)).toMatchObject({
      status: "done",
      result: [{ answer: { removed: 5_000 } }],
    });
    expect(await usedMemory()).toBeLessThan(before - 500_000);
    expect(await patient.recorded()).toEqual({ "metrics:requests": 3 });
    expect(await cleanupMetrics.plan({ hours: 6 }, context)).toMatchObject({ status: "planned", effects: [] });
  });

  test("archiving runs the management command that is configured", async () => {
    await patient.metrics.flushdb();
    await patient.sql("TRUNCATE monitoring_archivedmetric");
    await patient.age(1000, 12);
    const context = contextFor(patient.target);
    const planned = await archiveMetrics.plan({ days: 30 }, context);
    expect(planned).toMatchObject({ effects: ["archive 12 metrics that are older than 30 days (archive_metrics)"] });
    if (planned.status !== "planned") return;
    const outcome = await archiveMetrics.apply(planned.plan, context);
    expect(outcome).toEqual({ status: "done", result: [{ name: "archive_metrics", answer: { archived: 12 } }] });
    expect(await patient.sql("SELECT count(*)::int AS n FROM monitoring_archivedmetric")).toEqual([{ n: 12 }]);
  });

  test("a report passes arguments on as values, whatever they say", async () => {
    await patient.metrics.flushdb();
    await patient.yt3.shell(
      "from monitoring.django_monitoring import metrics_collector\nmetrics_collector.record('errors', type='OperationalError')",
    );
    const ask = (kind: string) =>
      report.observe({ name: getMetrics, arguments: { kind, minutes: 10 } }, contextFor(patient.target));
    expect(await ask("errors")).toMatchObject({
      status: "observed",
      output: { result: [{ type: "OperationalError" }] },
    });
    for (const payload of [
      "errors'); import os #",
      "$(id)",
      "../../etc/passwd",
      "{{ 7 * 7 }}",
      "errors\r\nFLUSHALL\r\n",
    ]) {
      expect(await ask(payload)).toEqual({ status: "observed", output: { result: [] } });
    }
    expect(await patient.recorded()).toEqual({ "metrics:errors": 1 });
  });

  test("a function that is not listed is never looked for", async () => {
    const planned = await report.observe({ name: "os.getcwd", arguments: {} }, contextFor(patient.target));
    expect(planned).toMatchObject({ status: "failed", reason: expect.stringContaining("is not among django.reports") });
  });
});
