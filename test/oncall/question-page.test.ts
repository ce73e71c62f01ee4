/** A question that went to PagerDuty is a page of its own: what comes after it notifies people anew. */

import { createUnasked, type UnaskedApproval } from "../../src/store/unasked.ts";
import { type OnCall, routingKey, startOnCall } from "../support/on-call.ts";
import { playbookYaml } from "../support/spine.ts";
import { until } from "../support/until.ts";

let oncall: OnCall;

beforeEach(async () => {
  oncall = await startOnCall([{ afterMs: 0, pagerduty: { reveal: () => routingKey } }], {
    playbooks: [playbookYaml({ heal: "patient.operate", extra: "escalate: ward" })],
    patient: { curable: false },
  });
});

afterEach(() => oncall.close());

/** A run whose question nobody could be asked in Slack, and which went to PagerDuty. */
async function paged(): Promise<string> {
  const run = await oncall.spine.start();
  expect(await oncall.spine.settle(run)).toMatchObject({ waitingFor: "approval" });
  const unasked = createUnasked(oncall.spine.database);
  const [approval] = await unasked.find(-1);
  await unasked.escalate(approval as UnaskedApproval, "ward", "nobody could be asked");
  oncall.open();
  await until(() => notified().length === 1, { what: "people to be notified of the question" });
  return run;
}

async function answer(run: string, decision: "approve" | "decline"): Promise<void> {
  const [approval] = await oncall.spine.approvals.ofRun(run);
  if (!approval) throw new Error("no approval is pending");
  await oncall.spine.approvals.answer({ ...approval, approval: approval.id, decision, by: "api:boss", reason: null });
}

const notified = () => oncall.pagerDuty.notified(routingKey);
const open = () => [...oncall.pagerDuty.open(routingKey).keys()];
const sent = (action: string) =>
  oncall.pagerDuty.requests.flatMap(({ body }) => (body?.["event_action"] === action ? [body["dedup_key"]] : []));

test("somebody has the question and approves, and the run fails: people are notified of that too", async () => {
  const run = await paged();
  const [question] = notified();
  await oncall.escalations.acknowledge(run, "api:boss");
  await until(() => sent("acknowledge").length === 1, { what: "the acknowledgement" });
  expect(sent("acknowledge")).toEqual([question]);

  await answer(run, "approve");
  expect(await until(async () => (await oncall.spine.settle(run)).outcome, { what: "the run to end" })).toBe(
    "ineffective",
  );
  await until(() => notified().length === 2, { what: "people to be notified of the failure" });
  await until(() => open().length === 1, { what: "the question to be over" });
  const [, failure] = notified();
  expect(open()).toEqual([failure]);
  expect(question).toMatch(new RegExp(`^${failure}:question:`));
  expect(sent("resolve")).toEqual([question]);
});

test("a question is over once it is decided, without that anybody has acknowledged it", async () => {
  const run = await paged();
  await answer(run, "decline");
  await until(() => open().length === 0, { what: "the page to be resolved" });
  expect(await until(async () => (await oncall.spine.settle(run)).outcome, { what: "the run to end" })).toBe(
    "declined",
  );
  expect(notified()).toHaveLength(1);
  await until(async () => (await oncall.messages()).join() === "pagerduty delivered", { what: "it to be done" });
});
