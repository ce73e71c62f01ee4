/** Two different people of a set must approve, by their clicks: one effect; and none where one of them leaves the group before it is applied. */

import { askedIn, type Callers, calling, shownBy, slackUrl, startCallers } from "../support/callers.ts";
import { cleaningUp } from "../support/clean-up.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { type Service, type ServiceTarget, startService } from "../support/service.ts";
import { until } from "../support/until.ts";
import { createWard, type Ward, wardPlaybook } from "../support/ward.ts";

jest.setTimeout(120_000);

const afterwards = cleaningUp();
/** Gives no role: whoever is in it is an approver by `slack.users` or by the other group. */
const dbaGroup = "S0DBA";
let callers: Callers;
let ward: Ward;

beforeEach(async () => {
  callers = await startCallers();
  afterwards(() => callers.stop());
  callers.slack.setGroup(dbaGroup, ["U0LEAD", "U0MATE"]);
  ward = await createWard();
});

/** `demand` stands in the target's `approvals` or, as text, in the playbook's. */
async function start(demand: {
  readonly target?: ServiceTarget["approvals"];
  readonly playbook?: string;
}): Promise<Service> {
  const { w1 } = ward.targets(1) as { readonly w1: ServiceTarget };
  const sections = { approvers: { dba: { groups: [dbaGroup] } } };
  const service = await startService({
    ...calling(callers, { sections }),
    program: "counting",
    databaseUrl: (await sharedPostgres()).url,
    targets: { w1: demand.target ? { ...w1, approvals: demand.target } : w1 },
    playbooks: [wardPlaybook("sick", { step: "approval: always", extra: demand.playbook ?? "" })],
  });
  callers.slack.sendTo(slackUrl(service));
  return service;
}

test.each([
  ["the target", { target: { by: "dba", atLeast: 2 } }],
  ["the playbook", { playbook: "approvals: { by: dba, atLeast: 2 }" }],
] as const)("where %s asks for two of a set, two of them click, and there is one effect", async (_case, demand) => {
  const service = await start(demand);
  const run = await service.fire({ alertname: "sick", service: "w1" });
  const message = await askedIn(callers, run);
  const press = (user: string) => callers.slack.click({ message, actionId: "paramedic-approve", user });
  const toldTo = (user: string, part: string) =>
    until(() => callers.slack.ephemerals.find((one) => one.user === user && one.text.includes(part)), {
      what: () => `${user} to be told ${part}; told were ${JSON.stringify(callers.slack.ephemerals)}`,
    });

  await press("U0DEPUTY");
  await toldTo("U0DEPUTY", "You are not among the approvers `dba`");
  await press("U0LEAD");
  await toldTo("U0LEAD", "1 of 2 different people have approved");
  await press("U0LEAD");
  await toldTo("U0LEAD", "You have approved this already");
  expect((await service.run(run)).approvals).toMatchObject([{ state: "pending", atLeast: 2, approvers: ["dba"] }]);
  expect(await ward.effects()).toEqual([]);
  await press("U0MATE");

  const ended = await service.ended(run);
  expect(ended.outcome).toBe("fixed");
  expect(ended.approvals).toMatchObject([
    { state: "approved", decisions: [{ by: "slack:U0LEAD" }, { by: "slack:U0MATE" }] },
  ]);
  expect(ended.events.filter(({ type }) => type === "step-started")).toHaveLength(1);
  expect(await ward.effects()).toHaveLength(1);
  await until(() => shownBy(message).includes("*Approved* by <@U0LEAD>"), { what: () => shownBy(message) });
  expect(shownBy(message)).toContain("<@U0MATE>");
  await service.stop();
});

test.each(["U0LEAD", "U0MATE"])(
  "where %s leaves the set between the clicks and the change, the approval of both is withdrawn, and nothing is done",
  async (leaves) => {
    const service = await start({ target: { by: "dba", atLeast: 2 } });
    const run = await service.fire({ alertname: "sick", service: "w1" });
    const message = await askedIn(callers, run);
    await service.pause(true);
    for (const user of ["U0LEAD", "U0MATE"]) {
      await callers.slack.click({ message, actionId: "paramedic-approve", user });
    }
    await until(async () => (await service.run(run)).approvals[0]?.state === "approved", { what: "both to count" });
    callers.slack.setGroup(
      dbaGroup,
      ["U0LEAD", "U0MATE"].filter((user) => user !== leaves),
    );
    await service.pause(false);

    await until(async () => (await service.run(run)).approvals.length === 2, { what: "it to be asked for again" });
    const story = await service.run(run);
    expect(story.events.find(({ type }) => type === "approval-voided")).toMatchObject({
      reason: expect.stringContaining(`slack:${leaves} is not among the approvers 'dba'`),
    });
    expect(story.approvals.map(({ state }) => state).sort()).toEqual(["pending", "voided"]);
    expect(story.approvals.find(({ state }) => state === "pending")?.decisions).toEqual([]);
    expect(story.events.map(({ type }) => type)).not.toContain("step-started");
    expect(await ward.effects()).toEqual([]);
    await service.stop();
  },
);
