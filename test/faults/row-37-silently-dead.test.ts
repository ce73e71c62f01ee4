/** Row 37: what nobody would notice from inside. The heartbeat stops, so a service outside calls people; being paused is no such thing. */

import { rm, writeFile } from "node:fs/promises";
import { cleaningUp } from "../support/clean-up.ts";
import { type HeartbeatDouble, startHeartbeatDouble } from "../support/heartbeat-double.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { type Service, type ServiceOptions, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();
let outside: HeartbeatDouble;
let ward: Ward;
let databaseUrl: string;
let options: ServiceOptions;

beforeEach(async () => {
  outside = await startHeartbeatDouble();
  afterwards(() => outside.stop());
  ward = await createWard();
  databaseUrl = await (await sharedPostgres()).newDatabase();
  options = {
    program: "counting",
    databaseUrl,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick", { step: "approval: always" })],
    env: { HEARTBEAT_URL: outside.url },
    sections: { heartbeat: { url: { env: "HEARTBEAT_URL" }, every: "1s" } },
  };
});

/** Three of them more than there were. */
async function goesOn(service: Service): Promise<void> {
  const before = outside.heard();
  await until(() => outside.heard() >= before + 3, {
    timeoutMs: 30_000,
    what: () => `heartbeats (${service.child.output().slice(-2_000)})`,
  });
}

/** What the service outside would call people for. */
async function fallsSilent(): Promise<void> {
  await until(() => outside.silentMs() > 3_500, { timeoutMs: 30_000, what: "the heartbeat to stop" });
}

test("every worker stops: the receiver lives on and takes alerts, the outside hears nothing; one worker comes back and it does", async () => {
  const worker = await startService({ ...options, role: "worker" });
  const receiver = await startService({ ...options, role: "receiver" });
  await goesOn(worker);
  await worker.kill();
  await fallsSilent();
  expect(await receiver.fire({ alertname: "sick", service: "w1" })).toBeTruthy();
  const metrics: string = (await receiver.api("GET", "/metrics")).body;
  const last = Number(/^paramedic_heartbeat_timestamp_seconds (\S+)$/m.exec(metrics)?.[1]);
  expect(Date.now() / 1_000 - last).toBeGreaterThan(3);
  await worker.start();
  await goesOn(worker);
  expect(worker.child.output()).not.toContain("canary");
});

test("nobody drives what is due: withheld; paused by a person in either way: not withheld", async () => {
  const service = await startService(options);
  await goesOn(service);
  await service.pause(true);
  const run = await service.fire({ alertname: "sick", service: "w1" });
  await until(async () => (await service.run(run)).waitingFor === "switch", { what: "the run to wait for the switch" });
  await goesOn(service);
  await service.pause(false);
  await writeFile(service.pauseFile, "");
  await goesOn(service);
  await rm(service.pauseFile);
  await until(async () => (await service.run(run)).waitingFor === "approval", {
    timeoutMs: 30_000,
    what: "the run to ask",
  });

  // Due for ten minutes, and in the hands of a worker that is not there.
  await query(
    databaseUrl,
    "UPDATE paramedic.runs SET due_at = now() - interval '10 minutes', lease_until = now() + interval '1 hour' WHERE id = $1",
    [run],
  );
  await fallsSilent();
  const logged = service.child.logLines().filter(({ reason }) => reason === "runs are due and nobody drives them");
  expect(logged).toHaveLength(1);
  await query(databaseUrl, "UPDATE paramedic.runs SET lease_until = NULL, hinted_at = NULL WHERE id = $1", [run]);
  await goesOn(service);
});
