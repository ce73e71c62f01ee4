/** A schedule of a real service: one run per occurrence, with two processes looking, told like every other run. */

import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();

test("an occurrence is run once by two processes, on the named target, and says what started it", async () => {
  const ward = await createWard();
  afterwards(async () => {});
  const databaseUrl = (await sharedPostgres()).url;
  const playbook = wardPlaybook("sick", {})
    .replace(/^on:.*$/m, "on: { schedule: '* * * * *', timezone: Europe/Berlin }")
    .replace(/^target:.*$/m, "target: w1");
  const options = { program: "counting" as const, databaseUrl, targets: ward.targets(1), playbooks: [playbook] };
  const service = await startService(options);
  await startService(options);
  await until(async () => (await query(databaseUrl, "SELECT FROM paramedic.schedules")).length === 1, {
    what: "the schedule to be known",
  });
  await query(databaseUrl, "UPDATE paramedic.schedules SET last_due = now() - interval '10 minutes'");
  const run = await until(async () => (await service.api("GET", "/api/v1/runs")).body.runs[0]?.id, {
    what: "the scheduled run",
  });
  const ended = await service.ended(run);
  expect(ended).toMatchObject({ outcome: "fixed", target: "w1" });
  expect(ended.trigger).toMatchObject({ kind: "schedule", due: expect.stringMatching(/:00\.000Z$/) });
  const rows = await query(databaseUrl, "SELECT scheduled_for, count(*)::int AS runs FROM paramedic.runs GROUP BY 1");
  expect(rows.every(({ runs }) => runs === 1)).toBe(true);
});
