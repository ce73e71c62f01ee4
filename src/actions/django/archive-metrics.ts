/** `django.archive-metrics`: has the project archive its metrics that are older than some days. */

import { z } from "zod";
import type { ChangeAction } from "../../domain/action.ts";
import { applyMetrics, type MetricsCall, type MetricsPlan, planMetrics } from "./old-metrics.ts";

const input = z.strictObject({
  /** What is older is archived. */
  days: z.int().min(1).max(3_650),
});

const archiving: MetricsCall = { setting: "archive", verb: "archive", unit: "days" };

export const archiveMetrics: ChangeAction<z.output<typeof input>, MetricsPlan> = {
  name: "django.archive-metrics",
  summary: "Archives a Django project's metrics that are older than a number of days.",
  input,
  kind: "change",
  onHost: true,
  risk: "low",
  repeat: "safe",
  plan: ({ days }, context) => planMetrics(archiving, days, context),
  apply: (plan, context) => applyMetrics(archiving, plan, context),
};
