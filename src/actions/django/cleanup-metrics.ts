/** `django.cleanup-metrics`: has the project remove its metrics that are older than some hours. */

import { z } from "zod";
import type { ChangeAction } from "../../domain/action.ts";
import { applyMetrics, type MetricsCall, type MetricsPlan, planMetrics } from "./old-metrics.ts";

const input = z.strictObject({
  /** What is older is removed. Metrics in the memory of the application's processes cannot be reached. */
  hours: z.int().min(1).max(87_600),
});

const removing: MetricsCall = { setting: "cleanUp", verb: "remove", unit: "hours" };

export const cleanupMetrics: ChangeAction<z.output<typeof input>, MetricsPlan> = {
  name: "django.cleanup-metrics",
  summary: "Removes a Django project's metrics that are older than a number of hours.",
  input,
  kind: "change",
  onHost: true,
  risk: "low",
  repeat: "safe",
  plan: ({ hours }, context) => planMetrics(removing, hours, context),
  apply: (plan, context) => applyMetrics(removing, plan, context),
};
