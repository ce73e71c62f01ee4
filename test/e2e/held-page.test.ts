/** A held page with Redis and Slack away and a process that is killed: PagerDuty hears in time, and again when all is well. */

import { cleaningUp } from "../support/clean-up.ts";
import { freePort } from "../support/free-port.ts";
import { startPagerDutyDouble } from "../support/pagerduty-double.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { startService } from "../support/service.ts";
import { startSlackDouble } from "../support/slack-double.ts";
import { sleep, until } from "../support/until.ts";
import { createWard } from "../support/ward.ts";

const holdMs = 4_000;
const playbook = `
name: looks-for-long
summary: Looks and measures for a minute, and changes nothing.
on: { alerts: ['alertname="Sick"'] }
target: { label: service }
steps:
  - { id: look, do: ward.look }
verify:
  - { do: ward.look, expect: output.effects > 0, within: 1m, every: 1s }
escalate: { policy: database, hold: ${holdMs / 1_000}s }
`;
const routingKey = "held0123456789abcdef0123456789ab";

const afterwards = cleaningUp();

test("with Redis and Slack away and the process killed meanwhile, a held page is sent in time, and resolved when the run finds all well", async () => {
  const ward = await createWard();
  const pagerDuty = await startPagerDutyDouble();
  afterwards(() => pagerDuty.stop());
  const slack = await startSlackDouble();
  afterwards(() => slack.stop());
  slack.fail("*", "reset");
  const service = await startService({
    program: "counting",
    databaseUrl: await (await sharedPostgres()).newDatabase(),
    redisUrl: `redis://127.0.0.1:${await freePort()}`,
    playbooks: [playbook],
    targets: ward.targets(1),
    env: {
      NODE_EXTRA_CA_CERTS: pagerDuty.caFile,
      PD_KEY: routingKey,
      SLACK_BOT_TOKEN: slack.botToken,
      SLACK_SIGNING_SECRET: slack.signingSecret,
    },
    sections: {
      slack: {
        botToken: { env: "SLACK_BOT_TOKEN" },
        signingSecret: { env: "SLACK_SIGNING_SECRET" },
        apiUrl: slack.apiUrl,
        channel: "#ops",
        users: { U0LEAD: "approver" },
      },
      pagerduty: { routingKey: { env: "PD_KEY" }, server: pagerDuty.server },
      escalation: { database: [{ after: "0s", slack: "#ops", pagerduty: { env: "PD_KEY" } }] },
    },
  });
  afterwards(() => service.kill());

  const firedAt = Date.now();
  const run = await service.fire({ alertname: "Sick", service: "w1", severity: "critical" });
  await until(async () => (await service.run(run)).events.some(({ type }) => type === "verification-checked"), {
    what: "the run to measure",
  });
  expect(pagerDuty.requests).toEqual([]);
  await service.kill();
  // The time passes while nobody is there.
  await sleep(Math.max(0, firedAt + holdMs - Date.now()));
  expect(pagerDuty.requests).toEqual([]);
  await service.start();
  const startedAt = Date.now();
  await until(() => pagerDuty.open(routingKey).size === 1, { what: "the page" });
  expect(Date.now() - startedAt).toBeLessThan(5_000);
  const { state, events } = await service.run(run);
  expect(state).not.toBe("ended");
  expect(events.filter(({ type }) => type === "escalated")).toMatchObject([{ topic: "held", policy: "database" }]);
  // Once the run has ended well nobody need be told in Slack any more, and it is well again.
  await until(async () => (await service.api("GET", "/readyz")).body.outbox === "failing", {
    what: "readiness to show that Slack takes nothing",
  });
  expect(await service.api("GET", "/readyz")).toMatchObject({
    status: 200,
    body: { store: "ok", queue: "degraded", outbox: "failing" },
  });

  await query(ward.url, "INSERT INTO effects (target, pid) VALUES ('w1', 0)");
  expect(await service.ended(run)).toMatchObject({ outcome: "nothing-to-do" });
  await until(() => pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
});
