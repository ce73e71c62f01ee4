/** Row 20: an approval whose time ends while every worker is down expires at the first sweep, whatever was clicked meanwhile. */

import { askedIn, type Callers, calling, shownBy, slackUrl, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { query, sharedPostgres } from "../support/postgres.ts";
import { type ServiceOptions, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();

test("the time to decide ends while no worker is there: a late click is refused, and the first worker expires the run", async () => {
  const callers: Callers = await startCallers();
  afterwards(() => callers.stop());
  const ward = await createWard();
  const databaseUrl = (await sharedPostgres()).url;
  const options: ServiceOptions = {
    ...calling(callers, { expireAfter: "4s" }),
    program: "counting",
    databaseUrl,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick", { step: "approval: always", extra: "escalate: database" })],
  };
  const receiver = await startService({ ...options, role: "receiver" });
  const worker = await startService({ ...options, role: "worker" });
  const run = await receiver.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);
  const isPlaced = "SELECT FROM paramedic.outbox WHERE run_id = $1 AND topic = 'record' AND place IS NOT NULL";
  await until(async () => (await query(databaseUrl, isPlaced, [run])).length === 1, { what: "its place to be kept" });
  await worker.kill();

  const isOver = "SELECT FROM paramedic.approvals WHERE run_id = $1 AND expires_at < now()";
  await until(async () => (await query(databaseUrl, isOver, [run])).length === 1, { what: "the time to end" });
  const [approval] = (await receiver.run(run)).approvals;
  expect(approval?.state).toBe("pending");
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD", to: slackUrl(receiver) });
  await until(() => callers.slack.ephemerals.find(({ text }) => text.includes("The time to decide ended")), {
    what: "the click to be refused",
  });
  const overRest = await receiver.api("POST", `/api/v1/approvals/${approval?.id}`, {
    decision: "approve",
    digest: approval?.digest,
  });
  expect([overRest.status, overRest.body.type]).toEqual([409, expect.stringMatching(/expired$/)]);

  await worker.start();
  const ended = await receiver.ended(run, 8_000);
  expect(ended.outcome).toBe("expired");
  expect(ended.approvals).toMatchObject([{ state: "expired", decisions: [] }]);
  const types = ended.events.map(({ type }) => type);
  expect(types).toContain("approval-expired");
  expect(types).not.toContain("approval-answered");
  expect(types).not.toContain("step-started");
  await until(() => shownBy(message).startsWith("Expired: sick on w1\n"), { what: () => shownBy(message) });
  expect(await ward.effects()).toEqual([]);
  await Promise.all([worker.stop(), receiver.stop()]);
});
