/** Rows 24 and 25: an alert that resolves before anything is done ends its run; one that resolves while the trouble stays is not success. */

import { createSpine, playbookYaml, type Spine } from "../support/spine.ts";

let spine: Spine;

afterEach(() => spine?.close());

test("resolved between the queue and the claim: the run ends as no longer needed, nothing is looked at or done", async () => {
  spine = await createSpine();
  const run = await spine.start({ fingerprint: "0000000000000024" });
  await spine.resolve({ fingerprint: "0000000000000024" });
  expect(await spine.settle(run)).toMatchObject({ outcome: "resolved" });
  expect([spine.patient.looks, spine.patient.plans, spine.patient.applied]).toEqual([0, 0, []]);
});

test("resolved between the plan and the effect: the step is not applied", async () => {
  spine = await createSpine();
  const run = await spine.start({ fingerprint: "0000000000000124" });
  spine.patient.onPlan = async () => {
    await spine.resolve({ fingerprint: "0000000000000124" });
  };
  expect(await spine.settle(run)).toMatchObject({ outcome: "resolved" });
  expect(spine.patient.applied).toEqual([]);
});

test("resolved after the change while the condition still holds: measured, ineffective, handed over", async () => {
  spine = await createSpine({ patient: { curable: false }, playbooks: [playbookYaml()] });
  const run = await spine.start({ fingerprint: "0000000000000025" });
  spine.patient.onApply = async (plan) => {
    spine.patient.applied.push([...plan]);
    await spine.resolve({ fingerprint: "0000000000000025" });
    return { status: "done", result: null };
  };
  expect(await spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  const types = (await spine.events(run)).map(({ type }) => type);
  expect(types).toEqual(expect.arrayContaining(["alert-resolved", "verification-checked", "escalated"]));
});
