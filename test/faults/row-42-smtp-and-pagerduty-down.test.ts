/** Row 42: neither the mail server nor PagerDuty takes anything. Readiness says so, the heartbeat is withheld so that the outside calls people, nothing is lost, and all is told when they are back. */

import { createReadiness } from "../../src/telemetry/health.ts";
import { byPagerDuty, calling, pageKey, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { startHeartbeatDouble } from "../support/heartbeat-double.ts";
import { mailAddress, type OnCall, routingKey, startOnCall } from "../support/on-call.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();
let onCall: OnCall;

async function begin(): Promise<void> {
  onCall = await startOnCall([{ afterMs: 0, email: [mailAddress], pagerduty: { reveal: () => routingKey } }]);
  afterwards(() => onCall.close());
}

const readiness = () =>
  createReadiness({ store: async () => {}, queue: async () => {}, outbox: onCall.outbox.troubles })();

test("while nobody can be told it shows in readiness, and both are told once they are back, one time each", async () => {
  await begin();
  const { pagerDuty, smtp } = onCall;
  pagerDuty.fail("reset");
  smtp.fail("reset");
  const run = await onCall.handOver();
  expect((await readiness()).body.outbox).toBe("ok");
  onCall.open();
  await until(async () => (await onCall.outbox.troubles()).failing === 2, { what: "both ways to have failed" });
  expect(await readiness()).toEqual({ ready: true, body: { store: "ok", queue: "ok", outbox: "failing" } });
  expect(await onCall.messages()).toEqual(["email waiting", "pagerduty waiting"]);

  pagerDuty.fail(null);
  smtp.fail(null);
  await onCall.hurry();
  const told = async () => (await onCall.spine.events(run)).filter(({ type }) => type === "told").length;
  await until(async () => (await told()) === 2, { what: "both to be told" });
  expect((await readiness()).body.outbox).toBe("ok");
  // A mail whose server answered too late is sent again, under the same id.
  const ids = smtp.mails.map(({ raw }) => /^Message-ID: +(\S+)/im.exec(raw)?.[1]);
  expect(new Set(ids).size).toBe(1);
  expect(pagerDuty.open(routingKey).size).toBe(1);
});

test("where neither comes back, the dead letters show in readiness and in the run's history", async () => {
  await begin();
  onCall.pagerDuty.fail(500);
  onCall.smtp.fail("defer");
  const run = await onCall.handOver();
  onCall.open();
  await until(
    async () => {
      await onCall.hurry();
      return (await onCall.outbox.troubles()).dead === 2;
    },
    { what: "both messages to be given up", timeoutMs: 30_000 },
  );
  expect((await readiness()).body.outbox).toBe("dead-letters");
  const events = await onCall.spine.events(run);
  expect(events.filter(({ type }) => type === "not-told")).toHaveLength(2);
  expect(onCall.smtp.mails).toEqual([]);
});

test("the heartbeat is withheld while nobody can be told, and after a dead letter until somebody has seen to it", async () => {
  const [callers, outside, ward] = [await startCallers(), await startHeartbeatDouble(), await createWard()];
  afterwards(() => callers.stop());
  afterwards(() => outside.stop());
  const databaseUrl = await (await sharedPostgres()).newDatabase();
  const heartbeat = { url: { env: "HEARTBEAT_URL" }, every: "1s" };
  const levels = [{ after: "0s", email: ["oncall@example.net"], pagerduty: byPagerDuty }];
  const called = calling(callers, { expireAfter: "1s", levels, sections: { heartbeat } });
  const service = await startService({
    ...called,
    env: { ...called.env, HEARTBEAT_URL: outside.url },
    program: "counting",
    databaseUrl,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick", { step: "approval: always", extra: "escalate: database" })],
  });
  const beats = async (what: string) => {
    const before = outside.heard();
    await until(() => outside.heard() >= before + 2, {
      what: () => `${what} (${service.child.output().slice(-3_000)})`,
    });
  };
  const silent = (what: string) =>
    until(() => outside.silentMs() > 3_500, {
      timeoutMs: 30_000,
      what: () => `${what} (${service.child.output().slice(-3_000)})`,
    });
  await beats("the heartbeat");

  const readiness = async () => (await service.api("GET", "/readyz")).body.outbox;
  callers.pagerDuty.fail("reset");
  callers.mail.fail("reset");
  await service.ended(await service.fire({ alertname: "sick", service: "w1" }));
  await until(async () => (await readiness()) === "failing", { what: "both to have failed" });
  await beats("the heartbeat, for the first minute");
  await query(databaseUrl, "UPDATE paramedic.outbox SET created_at = now() - interval '61 s'");
  await silent("the heartbeat to stop");

  // One way is enough: what the other one gave up is in readiness.
  callers.pagerDuty.fail(null);
  callers.mail.fail("refuse");
  await query(databaseUrl, "UPDATE paramedic.outbox SET due_at = now() WHERE due_at > now()");
  await until(() => callers.pagerDuty.open(pageKey).size === 1, { what: "the page" });
  await until(async () => (await readiness()) === "dead-letters", { what: "the dead letter" });
  await beats("the heartbeat again");

  callers.pagerDuty.fail(400);
  const run = await service.fire({ alertname: "sick", service: "w1" });
  await service.ended(run);
  await silent("the heartbeat to be withheld");

  callers.pagerDuty.fail(null);
  callers.mail.fail(null);
  expect((await service.api("POST", `/api/v1/runs/${run}/acknowledge`)).status).toBe(200);
  await beats("the heartbeat, since somebody has it");
  expect(service.child.output()).not.toContain("canary-5f1c0de8");
});
