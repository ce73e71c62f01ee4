/** Schedules whose time has come: a test does not wait for it. */

import { query } from "./postgres.ts";
import type { Service } from "./service.ts";
import { until } from "./until.ts";

/** Lets the newest occurrence of all scheduled playbooks be due, as if no worker had been there for 40 days. */
export async function letBeDue(databaseUrl: string): Promise<void> {
  const behind = "UPDATE paramedic.schedules SET last_due = now() - interval '40 days' RETURNING playbook";
  await until(async () => (await query(databaseUrl, behind)).length > 0, { what: "the schedule to be known" });
}

/** The ids of the runs that a schedule has started, newest first. */
export async function scheduledRuns(service: Service): Promise<readonly string[]> {
  const { body } = await service.api("GET", "/api/v1/runs?limit=100");
  const runs: readonly { readonly id: string; readonly trigger: { readonly kind: string } }[] = body.runs;
  return runs.filter(({ trigger }) => trigger.kind === "schedule").map(({ id }) => id);
}

/** Lets it be due and returns the run that this starts. */
export async function runBySchedule(service: Service, databaseUrl: string): Promise<string> {
  const before = new Set(await scheduledRuns(service));
  await letBeDue(databaseUrl);
  return await until(async () => (await scheduledRuns(service)).find((id) => !before.has(id)), {
    timeoutMs: 30_000,
    what: "the run of the schedule",
  });
}
