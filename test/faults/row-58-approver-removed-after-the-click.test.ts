/** Row 58: an approver who leaves the user group between the click and its application has approved nothing; somebody else is asked. */

import {
  askedIn,
  type Callers,
  calling,
  group,
  shownBy,
  slackUrl,
  startCallers,
  threadOf,
} from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { type Service, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

const afterwards = cleaningUp();
let callers: Callers;
let ward: Ward;
let service: Service;

beforeEach(async () => {
  callers = await startCallers();
  afterwards(() => callers.stop());
  ward = await createWard();
  service = await startService({
    ...calling(callers),
    program: "counting",
    databaseUrl: (await sharedPostgres()).url,
    targets: ward.targets(1),
    playbooks: [wardPlaybook("sick", { step: "approval: always" })],
  });
  callers.slack.sendTo(slackUrl(service));
});

const types = async (run: string) => (await service.run(run)).events.map(({ type }) => type as string);

/** Has `U0MATE` approve while the kill switch keeps the change from being applied. */
async function approvedWhilePaused(run: string) {
  const message = await askedIn(callers, run);
  await service.pause(true);
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0MATE" });
  await until(async () => (await types(run)).includes("approval-answered"), { what: "the click to count" });
  await until(async () => (await service.run(run)).waitingFor === "switch", { what: "the run to be held" });
  expect(await ward.effects()).toEqual([]);
  return message;
}

test("the approval is withdrawn, the same message asks again, and the next approver's click is applied once", async () => {
  const run = await service.fire({ alertname: "sick", service: "w1" });
  const message = await approvedWhilePaused(run);
  callers.slack.setGroup(group, []);
  await service.pause(false);

  await until(async () => (await types(run)).filter((type) => type === "approval-requested").length === 2, {
    what: "it to be asked for again",
  });
  const story = await service.run(run);
  expect(story.events.find(({ type }) => type === "approvers-checked")).toMatchObject({ allowed: false });
  expect(story.events.find(({ type }) => type === "approval-voided")).toMatchObject({
    reason: expect.stringContaining("slack:U0MATE"),
  });
  expect(story.approvals.map(({ state }) => state).sort()).toEqual(["pending", "voided"]);
  expect(await ward.effects()).toEqual([]);
  await until(() => threadOf(callers, message).includes("It asks again"), { what: () => threadOf(callers, message) });
  expect(await askedIn(callers, run)).toBe(message);

  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0MATE" });
  const refusal = await until(() => callers.slack.ephemerals.find(({ user }) => user === "U0MATE"));
  expect(refusal.text).toContain("These may: <@U0LEAD>");
  expect(await ward.effects()).toEqual([]);

  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0LEAD" });
  expect((await service.ended(run)).outcome).toBe("fixed");
  expect(await ward.effects()).toHaveLength(1);
  await until(() => shownBy(message).startsWith("Fixed:"), { what: () => shownBy(message) });
  expect(shownBy(message)).toContain("*Approved* by <@U0LEAD>");
  await service.stop();
});

test("somebody who was deactivated in Slack meanwhile has approved nothing, and neither where Slack cannot be asked", async () => {
  const run = await service.fire({ alertname: "sick", service: "w1" });
  await approvedWhilePaused(run);
  callers.slack.fail("users.info", { status: 503 });
  await service.pause(false);
  await until(async () => (await types(run)).includes("approval-voided"), { what: "the approval to be withdrawn" });
  callers.slack.fail("users.info", null);
  expect(await ward.effects()).toEqual([]);

  const message = await until(async () => {
    const { approvals } = await service.run(run);
    const found = await askedIn(callers, run);
    const open = approvals.find(({ state }) => state === "pending");
    return open && JSON.stringify(found.blocks).includes(open.id) ? found : null;
  });
  await service.pause(true);
  await callers.slack.click({ message, actionId: "paramedic-approve", user: "U0MATE" });
  await until(async () => (await types(run)).filter((type) => type === "approval-answered").length === 2);
  callers.slack.addUser("U0MATE", { deactivated: true });
  await service.pause(false);
  await until(async () => (await types(run)).filter((type) => type === "approval-voided").length === 2, {
    what: "the second approval to be withdrawn",
  });
  expect(JSON.stringify((await service.run(run)).events)).toContain("is deactivated in Slack");
  expect(await ward.effects()).toEqual([]);
  await service.stop();
});
