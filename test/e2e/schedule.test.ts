/** A schedule of a real service: one run per occurrence, with two processes looking, told like every other run. */

import { pathToFileURL } from "node:url";
import { newId } from "../../src/ids.ts";
import { createSchedules, type Scheduled } from "../../src/store/schedules.ts";
import { builtProgram } from "../support/built.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { startChild } from "../support/process.ts";
import { startService } from "../support/service.ts";
import { closeStores, newRun, newStore } from "../support/store.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();
afterAll(closeStores);

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

test("a process that is killed between taking an occurrence and making its run leaves it to the next one", async () => {
  const store = await newStore();
  await store.sql("INSERT INTO paramedic.schedules VALUES ('nightly', now() - interval '1 day')");
  const due = Date.now() - 10_000;
  const dist = pathToFileURL(`${await builtProgram()}/`);
  const program = `
    import { connect } from "${new URL("store/connect.js", dist)}";
    import { createSchedules } from "${new URL("store/schedules.js", dist)}";
    await createSchedules(connect(process.env.DATABASE_URL)).tick({
      playbook: "nightly",
      whileBusy: "skip",
      due: () => ({ due: ${due}, verdict: "run", missed: 0 }),
      runFor: () => process.kill(process.pid, "SIGKILL"),
    });`;
  const child = await startChild(process.execPath, ["--input-type=module", "--eval", program], {
    env: { PATH: process.env["PATH"], DATABASE_URL: store.url },
  });
  expect(await child.exited).toMatchObject({ signal: "SIGKILL" });
  const next: Scheduled = {
    playbook: "nightly",
    whileBusy: "skip",
    due: (last) => (due > last ? { due, verdict: "run", missed: 0 } : null),
    runFor: (at) => newRun({ id: newId(), playbook: "nightly", trigger: { kind: "schedule", due: at } }),
  };
  // Postgres may need a moment to notice that nobody is there any more who holds the row.
  const ticked = await until(() => createSchedules(store.database).tick(next), {
    what: "the occurrence to be dealt with",
  });
  expect(ticked).toMatchObject({ what: "started", due: new Date(due).toISOString() });
  expect(await createSchedules(store.database).tick(next)).toBeNull();
  expect(await store.sql("SELECT FROM paramedic.runs")).toHaveLength(1);
});
