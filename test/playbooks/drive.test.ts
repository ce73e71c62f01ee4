/** How runs go, on the real store: every ending, and everything that can come in between. */

import { z } from "zod";
import type { Action, ObserveAction } from "../../src/domain/action.ts";
import type { RunEvent } from "../../src/domain/event.ts";
import type { Json } from "../../src/domain/json.ts";
import { tell } from "../../src/domain/story.ts";
import { newId } from "../../src/ids.ts";
import type { World } from "../../src/playbooks/world.ts";
import { createAppend } from "../../src/store/append.ts";
import { connect } from "../../src/store/connect.ts";
import { createRefusals } from "../../src/store/refusals.ts";
import { createPatient, patientActions, takeEffect } from "../support/patient.ts";
import { createSpine, playbookYaml, type Spine, type SpineOptions } from "../support/spine.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

let spine: Spine;

async function spineWith(options: SpineOptions = {}): Promise<Spine> {
  spine = await createSpine(options);
  return spine;
}

afterEach(() => spine.close());

const typesOf = async (runId: string) => (await spine.events(runId)).map((event) => event.type);

async function pendingOf(runId: string) {
  const [approval] = (await spine.approvals.ofRun(runId)).filter(({ state }) => state === "pending");
  if (!approval) throw new Error("no approval is pending");
  return approval;
}

async function answer(runId: string, decision: "approve" | "decline", by = "api:boss") {
  const approval = await pendingOf(runId);
  return spine.approvals.answer({ approval: approval.id, decision, digest: approval.digest, by, reason: null });
}

test("an alert is looked at, planned, healed, verified, and told as one story", async () => {
  await spineWith();
  const run = await spine.start();
  const row = await spine.settle(run);
  expect(row).toMatchObject({ state: "ended", outcome: "fixed", target: "ward" });
  expect(spine.patient.applied).toEqual([["one", "two"]]);
  expect(await typesOf(run)).toEqual([
    "created",
    "step-observed",
    "step-planned",
    "step-started",
    "step-finished",
    "verification-checked",
    "ended",
  ]);
  expect(await spine.reads.firstBrokenEvent(run)).toBeNull();
});

test("what is found is told in the playbook's words, and what cannot be told ends nothing", async () => {
  const found = (text: string) => JSON.stringify(`"${text}" + (output.sick ? " sick" : " well")`);
  const yaml = playbookYaml({
    verify: `verify:\n  - { do: patient.look, expect: '!output.sick', found: ${found("at last")}, within: 1s, every: 1s }`,
  })
    .replace("do: patient.look }", `do: patient.look, found: ${found("the patient is")} }`)
    .replace("  - { id: heal", "  - { id: again, do: patient.look, found: 'labels.ward' }\n  - { id: heal");
  await spineWith({ playbooks: [yaml], patient: { curable: false } });
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  const events = await spine.events(run);
  expect(events).toContainEqual(
    expect.objectContaining({ type: "step-observed", step: "look", found: "the patient is sick" }),
  );
  expect(events).toContainEqual(
    expect.objectContaining({ step: "again", found: expect.stringMatching(/^it cannot be told \(.*labels\.ward/) }),
  );
  expect(events).toContainEqual(expect.objectContaining({ type: "verification-checked", found: "at last sick" }));
  expect(events.at(-1)).toMatchObject({ reason: expect.stringMatching(/did not hold within 1s \(at last sick\)$/) });
  expect(tell(events.find(({ type }) => type === "verification-checked") as RunEvent).text).toBe(
    "Measured: not as expected, at last sick",
  );
});

test("an optional look that fails is passed over, what depends on it too, and the run heals all the same", async () => {
  const yaml = playbookYaml().replace(
    "  - { id: heal",
    "  - { id: gone, do: patient.look-away, optional: true }\n" +
      "  - { id: further, if: has(steps.gone) && steps.gone.sick, do: patient.look }\n  - { id: heal",
  );
  await spineWith({ playbooks: [yaml] });
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  const events = await spine.events(run);
  expect(events).toContainEqual(
    expect.objectContaining({ type: "step-passed-over", step: "gone", reason: "it turned away" }),
  );
  expect(events).toContainEqual(expect.objectContaining({ type: "step-skipped", step: "further" }));
});

test("a condition that does not hold skips the step, and a healthy patient leaves nothing to do", async () => {
  await spineWith({ patient: { sick: false } });
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "nothing-to-do" });
  expect(await typesOf(run)).toContain("step-skipped");
  expect(spine.patient.applied).toEqual([]);
});

test("a plan without effects is nothing to do, and a trouble that stays is handed over", async () => {
  await spineWith({ patient: { things: [] } });
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  expect(await typesOf(run)).toContain("escalated");
  expect(spine.errors).toHaveLength(1);
});

test("a change that does not help ends ineffective after its time, measured more than once", async () => {
  await spineWith({ patient: { curable: false } });
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  const checks = (await typesOf(run)).filter((type) => type === "verification-checked");
  expect(checks.length).toBeGreaterThanOrEqual(2);
});

test("a risky step waits for a person, is planned again and applied exactly as approved", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.operate" })] });
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ state: "waiting", waitingFor: "approval" });
  expect(spine.patient.applied).toEqual([]);
  expect((await pendingOf(run)).effects).toEqual(["heal one", "heal two"]);
  expect(await answer(run, "approve")).toMatchObject({ kind: "answered", approval: { state: "approved" } });
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  expect(spine.patient.plans).toBe(2);
  expect(spine.patient.applied).toEqual([["one", "two"]]);
});

test("a plan that grew after it was shown voids the approval and asks again", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.operate" })] });
  const run = await spine.start();
  await spine.settle(run);
  const first = await pendingOf(run);
  await answer(run, "approve");
  spine.patient.things.push("three");
  expect(await spine.settle(run)).toMatchObject({ state: "waiting", waitingFor: "approval" });
  expect(spine.patient.applied).toEqual([]);
  const second = await pendingOf(run);
  expect(second.digest).not.toBe(first.digest);
  expect(second.effects).toContain("heal three");
  await answer(run, "approve");
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  expect(spine.patient.applied).toEqual([["one", "two", "three"]]);
});

describe("an approval that is applied later than there was time to decide it", () => {
  const openMs = 5_000;
  const turn = (paused: boolean) => spine.switches.set({ paused, reason: "a test", by: "api:boss", until: null });

  /** A run that is approved, or approved and planned once more, before the kill switch holds it. */
  async function heldBySwitch(when: "approved" | "planned", expireAfterMs = openMs): Promise<string> {
    await spineWith({
      playbooks: [playbookYaml({ heal: "patient.operate" })],
      approvals: { expireAfterMs, atLeast: 1 },
    });
    const run = await spine.start();
    expect(await spine.settle(run)).toMatchObject({ waitingFor: "approval" });
    if (when === "approved") await turn(true);
    else spine.patient.onPlan = () => turn(true).then(() => {});
    expect(await answer(run, "approve")).toMatchObject({ kind: "answered" });
    expect(await spine.settle(run)).toMatchObject({ waitingFor: "switch" });
    spine.patient.onPlan = null;
    expect(spine.patient.plans).toBe(when === "approved" ? 1 : 2);
    return run;
  }

  test.each(["approved", "planned"] as const)(
    "%s, and then held by the kill switch for too long: it is voided and asked anew",
    async (when) => {
      const run = await heldBySwitch(when);
      const [first] = await spine.approvals.ofRun(run);
      await until(() => Date.now() > Date.parse(first?.decidedAt ?? "") + openMs, { what: "its time to pass" });
      await turn(false);
      expect(await spine.settle(run)).toMatchObject({ waitingFor: "approval" });
      expect(spine.patient.applied).toEqual([]);
      expect((await spine.approvals.ofRun(run)).map(({ state }) => state)).toEqual(["voided", "pending"]);
      expect((await spine.events(run)).find(({ type }) => type === "approval-voided")).toMatchObject({
        approval: first?.id,
        reason: expect.stringContaining("could not be applied in the time that there was to decide it"),
      });
      expect((await pendingOf(run)).id).not.toBe(first?.id);
      await answer(run, "approve");
      expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
      expect(spine.patient.applied).toHaveLength(1);
    },
  );

  test("held for less than that, it is applied", async () => {
    const run = await heldBySwitch("approved", 60_000);
    await turn(false);
    expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
    expect((await spine.approvals.ofRun(run)).map(({ state }) => state)).toEqual(["approved"]);
  });
});

test("what was approved and is gone by then is nothing to do", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.operate" })] });
  const run = await spine.start();
  await spine.settle(run);
  await answer(run, "approve");
  spine.patient.things = [];
  spine.patient.sick = false;
  expect(await spine.settle(run)).toMatchObject({ outcome: "nothing-to-do" });
  expect(spine.patient.applied).toEqual([]);
});

test("foreign text that Postgres cannot take apart spoils neither the run nor what is asked of it later", async () => {
  const patient = createPatient({ things: ["one\u0000", "two\ud83d"] });
  const strange = { "k\u0000": ["\ud83d", "a\u0000b"] };
  const read: ObserveAction<object, Json> = {
    name: "patient.read",
    summary: "Read what the patient wrote.",
    kind: "observe",
    input: z.strictObject({}),
    output: z.json(),
    observe: async () => ({ status: "observed", output: strange }),
  };
  const actions = new Map([...patientActions(patient), [read.name, read as Action]]);
  const yaml = playbookYaml({ heal: "patient.operate" }).replace(
    "  - { id: heal",
    "  - { id: read, do: patient.read }\n  - { id: heal",
  );
  const applied: (readonly string[])[] = [];
  patient.onApply = (plan) => {
    applied.push(plan);
    patient.sick = false;
    return { status: "done", result: { told: "done\u0000" } };
  };
  await spineWith({ playbooks: [yaml], actions });
  const run = await spine.start();
  await spine.settle(run);
  // Asked and refused first, which looks into the history.
  const asked = await pendingOf(run);
  await spine.approvals.refuse(asked.id, "slack:U1", "no role");
  expect(asked.effects).toEqual(["heal one\ufffd", "heal two\ufffd"]);
  expect(await answer(run, "approve")).toMatchObject({ kind: "answered", approval: { state: "approved" } });
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  expect(applied).toEqual([["one\ufffd", "two\ufffd"]]);
  const { rows } = await spine.database.pool.query<{ output: Json }>(
    "SELECT event -> 'output' AS output FROM paramedic.run_events WHERE run_id = $1 AND event ->> 'step' = 'read'",
    [run],
  );
  expect(rows).toEqual([{ output: { "k\ufffd": ["\ufffd", "a\ufffdb"] } }]);
  expect(await spine.reads.firstBrokenEvent(run)).toBeNull();
});

test("a declined step ends the run and does nothing", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.operate" })] });
  const run = await spine.start();
  await spine.settle(run);
  await answer(run, "decline");
  expect(await spine.settle(run)).toMatchObject({ outcome: "declined" });
  expect(spine.patient.applied).toEqual([]);
});

test("silence never approves: an approval that nobody answers expires and is handed over", async () => {
  await spineWith({
    playbooks: [playbookYaml({ heal: "patient.operate" })],
    approvals: { expireAfterMs: 150, atLeast: 1 },
  });
  const run = await spine.start();
  await spine.settle(run);
  const row = await until(async () => ((await spine.settle(run)).state === "ended" ? spine.row(run) : null));
  expect(row).toMatchObject({ outcome: "expired" });
  expect(await typesOf(run)).toContain("escalated");
  expect((await spine.approvals.ofRun(run))[0]).toMatchObject({ state: "expired" });
  expect(spine.patient.applied).toEqual([]);
});

test("two approvals are two people", async () => {
  await spineWith({
    playbooks: [playbookYaml({ heal: "patient.operate" })],
    approvals: { expireAfterMs: 60_000, atLeast: 2 },
  });
  const run = await spine.start();
  await spine.settle(run);
  expect(await answer(run, "approve", "api:one")).toMatchObject({ kind: "answered", approval: { state: "pending" } });
  expect(await answer(run, "approve", "api:one")).toMatchObject({ kind: "answered-before" });
  expect(await spine.settle(run)).toMatchObject({ state: "waiting" });
  await answer(run, "approve", "api:two");
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
});

test("the requester of a run cannot approve it", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.operate" })] });
  const run = await spine.request("heal-ward", { by: "api:requester" });
  await spine.settle(run);
  expect(await answer(run, "approve", "api:requester")).toMatchObject({ kind: "own-request" });
  expect(await answer(run, "approve", "api:other")).toMatchObject({ kind: "answered" });
});

test("an alert that resolves while people are asked ends the run and withdraws the question", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.operate" })] });
  const run = await spine.start({ fingerprint: "00000000000000aa" });
  await spine.settle(run);
  await spine.resolve({ fingerprint: "00000000000000aa" });
  expect(await spine.settle(run)).toMatchObject({ outcome: "resolved" });
  expect((await spine.approvals.ofRun(run))[0]).toMatchObject({ state: "voided" });
  expect(spine.patient.applied).toEqual([]);
});

test("on_resolved: finish goes on, and resolved alone is not fixed", async () => {
  await spineWith({
    playbooks: [playbookYaml({ extra: "on_resolved: finish" })],
    patient: { curable: false },
  });
  const run = await spine.start({ fingerprint: "00000000000000ab" });
  await spine.resolve({ fingerprint: "00000000000000ab" });
  expect(await spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  expect(spine.patient.applied).toHaveLength(1);
});

test("a cancel stops before the next change and leaves no lock", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.operate" })] });
  const run = await spine.start();
  await spine.settle(run);
  expect(await spine.requests.cancel(run, "api:oncall", "not now")).toBe("cancelling");
  expect(await spine.settle(run)).toMatchObject({ outcome: "cancelled" });
  expect(await spine.requests.cancel(run, "api:oncall", "again")).toBe("already-ended");
  const { rows } = await spine.database.pool.query("SELECT FROM paramedic.target_locks");
  expect(rows).toEqual([]);
});

test("a cancel that arrives while the step is planned is seen before anything is applied", async () => {
  await spineWith();
  const run = await spine.start();
  spine.patient.onPlan = async () => {
    await spine.requests.cancel(run, "api:oncall", "stop");
  };
  expect(await spine.settle(run)).toMatchObject({ outcome: "cancelled" });
  expect(spine.patient.applied).toEqual([]);
  expect(await typesOf(run)).toContain("step-planned");
});

test("a dry run plans everything and changes nothing", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.operate" })] });
  const run = await spine.request("heal-ward", { dryRun: true });
  expect(await spine.settle(run)).toMatchObject({ outcome: "nothing-to-do", dryRun: true });
  const events = await spine.events(run);
  expect(events.at(-1)).toMatchObject({ reason: "dry run: 2 effects planned, none applied" });
  expect(spine.patient.applied).toEqual([]);
});

test("the kill switch stops everything, also between the plan and the effect, and the run goes on when it is off", async () => {
  await spineWith();
  const run = await spine.start();
  spine.patient.onPlan = async () => {
    await spine.switches.set({ paused: true, reason: "incident", by: "api:boss", until: null });
  };
  expect(await spine.settle(run)).toMatchObject({ state: "waiting", waitingFor: "switch" });
  expect(spine.patient.applied).toEqual([]);
  spine.patient.onPlan = null;
  const { woken } = await spine.switches.set({ paused: false, reason: "over", by: "api:boss", until: null });
  expect(woken).toEqual([run]);
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
});

test("a run that waits for the switch can still be cancelled", async () => {
  await spineWith();
  await spine.switches.set({ paused: true, reason: "incident", by: "api:boss", until: null });
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ waitingFor: "switch" });
  expect(spine.patient.looks).toBe(0);
  await spine.requests.cancel(run, "api:oncall", "not needed");
  expect(await spine.settle(run)).toMatchObject({ outcome: "cancelled" });
});

test("the pause file of this machine stops its worker", async () => {
  await spineWith();
  const paused = spine.newWorker({ pausedHere: () => true });
  const run = await spine.start();
  await paused.drive(run);
  expect(await spine.row(run)).toMatchObject({ waitingFor: "switch" });
  expect(spine.patient.looks).toBe(0);
});

test("a spent budget turns into a question, whatever the playbook says of approvals", async () => {
  await spineWith({ playbooks: [playbookYaml({ extra: "budget: [1/1h]", step: "approval: never" })] });
  expect(await spine.settle(await spine.start())).toMatchObject({ outcome: "fixed" });
  spine.patient.things = ["again"];
  spine.patient.sick = true;
  const second = await spine.start();
  expect(await spine.settle(second)).toMatchObject({ waitingFor: "approval" });
  expect((await pendingOf(second)).reasons).toEqual(["budget-spent"]);
  await answer(second, "approve");
  expect(await spine.settle(second)).toMatchObject({ outcome: "fixed" });
});

test("a run within the cool-down is refused and handed over", async () => {
  await spineWith({ playbooks: [playbookYaml({ extra: "cooldown: 10m" })] });
  expect(await spine.settle(await spine.start())).toMatchObject({ outcome: "fixed" });
  spine.patient.things = ["again"];
  spine.patient.sick = true;
  const second = await spine.start();
  expect(await spine.settle(second)).toMatchObject({ outcome: "refused" });
  expect(await typesOf(second)).toContain("escalated");
  expect(spine.patient.applied).toHaveLength(1);
});

test("what was only said to people begins no cool-down and spends no budget", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.tell", extra: "cooldown: 10m\nbudget: [1/1h]" })] });
  const said = await spine.start();
  await spine.settle(said);
  expect(await spine.events(said)).toContainEqual(expect.objectContaining({ type: "step-started", tells: true }));
  expect((await spine.database.pool.query("SELECT FROM paramedic.changes WHERE run_id = $1", [said])).rowCount).toBe(0);
});

test("an apply that throws leaves a safe step in doubt, which is planned and applied again", async () => {
  await spineWith();
  let tries = 0;
  spine.patient.onApply = (plan) => {
    tries += 1;
    if (tries === 1) throw new Error("the connection broke");
    return takeEffect(spine.patient, plan);
  };
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  expect(await typesOf(run)).toContain("step-in-doubt");
  expect(tries).toBe(2);
});

test.each([
  ["applied", "fixed", 1],
  ["not-applied", "fixed", 2],
  ["unknown", "unknown", 1],
] as const)("a once step in doubt is probed: %s ends %s after %i applies", async (probe, outcome, applies) => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.heal-once" })], patient: { probe } });
  let tries = 0;
  spine.patient.onApply = (plan) => {
    tries += 1;
    if (tries > 1) return takeEffect(spine.patient, plan);
    if (probe === "applied") takeEffect(spine.patient, plan);
    throw new Error("the bus went away");
  };
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome });
  expect(tries).toBe(applies);
  expect(spine.errors.length).toBe(outcome === "unknown" ? 1 : 0);
});

test("a step that takes too long is aborted by its signal and is in doubt", async () => {
  await spineWith({ playbooks: [playbookYaml({ heal: "patient.heal-once", step: "timeout: 1s" })] });
  let aborted = false;
  spine.patient.onApply = (_, { signal }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        reject(signal.reason);
      });
    });
  const run = await spine.start();
  expect(await spine.settle(run)).toMatchObject({ outcome: "unknown" });
  expect(aborted).toBe(true);
});

test("a failure that may pass is tried again, one that may not ends the run", async () => {
  await spineWith();
  let failures = 1;
  spine.patient.onPlan = () => {
    failures -= 1;
    if (failures >= 0) throw new Error("a passing failure");
  };
  const run = await spine.start();
  const row = await until(async () => ((await spine.settle(run)).state === "ended" ? spine.row(run) : null), {
    timeoutMs: 20_000,
  });
  expect(row).toMatchObject({ outcome: "fixed" });
  spine.patient.onApply = () => ({ status: "failed", reason: "permission denied", retryable: false });
  spine.patient.things = ["more"];
  spine.patient.sick = true;
  spine.patient.onPlan = null;
  expect(await spine.settle(await spine.start())).toMatchObject({ outcome: "failed" });
});

test("a stopping worker gives its run back between two steps and another one finishes it", async () => {
  await spineWith();
  const first = spine.newWorker();
  spine.patient.onLook = () => first.soft.abort();
  const run = await spine.start();
  await first.drive(run);
  expect(await spine.row(run)).toMatchObject({ state: "ready" });
  expect(spine.hinted).toContain(run);
  spine.patient.onLook = null;
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  expect(await typesOf(run)).not.toContain("taken-over");
});

test("a truncated notification marks its runs as partial", async () => {
  await spineWith();
  const { runs } = await spine.fire({}, 3);
  const [created] = await spine.events(runs[0]?.id as string);
  expect(created).toMatchObject({ type: "created", trigger: { kind: "alert", partial: true } });
});

test("a worker that cannot carry out the text sets the run aside without its target, and another one finishes it", async () => {
  await spineWith();
  const strange = spine.newWorker({ playbook: async () => null });
  const run = await spine.start();
  await strange.drive(run);
  expect(await spine.row(run)).toMatchObject({ state: "waiting", waitingFor: "worker" });
  expect((await spine.database.pool.query("SELECT FROM paramedic.target_locks")).rowCount).toBe(0);
  await spine.database.pool.query("UPDATE paramedic.runs SET due_at = now()");
  await strange.drive(run);
  expect((await typesOf(run)).filter((type) => type === "set-aside")).toHaveLength(1);
  await spine.database.pool.query("UPDATE paramedic.runs SET due_at = now()");
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
});

test.each([
  ["escalate: database", "database"],
  ["escalate: { policy: application, hold: 5m }", "application"],
  ["", null],
])("a run that no worker can carry out is handed over to whom its text names (%s)", async (extra, policy) => {
  await spineWith({ playbooks: [playbookYaml({ extra })] });
  const strange = spine.newWorker({ playbook: async () => null });
  const run = await spine.start();
  await strange.drive(run);
  await spine.database.pool.query("UPDATE paramedic.runs SET due_at = now()");
  const { store } = strange.world;
  const claim = async (id: string) => {
    const claimed = await store.claim(id);
    return claimed && { ...claimed, now: claimed.now + 11 * 60_000 };
  };
  await spine.newWorker({ playbook: async () => null, store: { ...store, claim } }).drive(run);
  expect(await spine.row(run)).toMatchObject({ outcome: "failed" });
  expect(await spine.events(run)).toContainEqual(expect.objectContaining({ type: "escalated", policy }));
});

test("a run that was set aside can be cancelled by a worker that cannot carry it out", async () => {
  await spineWith();
  const strange = spine.newWorker({ playbook: async () => null });
  const run = await spine.start();
  await strange.drive(run);
  await spine.requests.cancel(run, "api:oncall", "not needed");
  await strange.drive(run);
  expect(await spine.row(run)).toMatchObject({ outcome: "cancelled" });
});

test("an effect is in the store before the next thing begins", async () => {
  await spineWith();
  const run = await spine.start();
  const stored: boolean[] = [];
  spine.patient.onLook = async () => {
    stored.push((await typesOf(run)).includes("step-finished"));
  };
  expect(await spine.settle(run)).toMatchObject({ outcome: "fixed" });
  expect(stored).toEqual([false, true]);
});

test("what the store refuses is not tried for ever, and what is only away is", async () => {
  await spineWith();
  const run = await spine.start();
  let tries = 0;
  const refusing = spine.newWorker({}, 3_000);
  const { append } = refusing.world.store;
  const answering = (error: unknown) => ({
    ...refusing.world,
    store: {
      ...refusing.world.store,
      append: async (what: Parameters<typeof append>[0]) => {
        tries += 1;
        if (tries <= 2) throw error;
        return append(what);
      },
    },
  });
  const refused = spine.newWorker(answering(Object.assign(new Error("null value"), { code: "23502" })), 3_000);
  await expect(refused.drive(run)).rejects.toThrow("null value");
  expect(tries).toBe(1);
  tries = 0;
  const away = spine.newWorker(answering(Object.assign(new Error("connect"), { code: "ECONNREFUSED" })), 3_000);
  await until(
    async () => {
      await away.drive(run);
      return (await spine.row(run)).state === "ended";
    },
    { what: "the lease of the first worker to end", timeoutMs: 20_000 },
  );
  expect(await spine.row(run)).toMatchObject({ outcome: "fixed" });
  expect(spine.patient.applied).toHaveLength(1);
});

test.each(["", ", and people were told meanwhile"])(
  "an end whose answer was lost with the connection is this worker's all the same%s",
  async (meanwhile) => {
    await spineWith({ patient: { things: [] } });
    const proxy = await startTcpProxy(Number(new URL(spine.url).port));
    const url = new URL(spine.url);
    url.port = String(proxy.port);
    const faraway = connect(url.toString());
    try {
      const append = createAppend(faraway, { newId, asksInSlack: false, tellsChanges: false });
      const { store, metrics } = spine.worker.world;
      const warnings: string[] = [];
      const counted: string[] = [];
      let tries = 0;
      const ending: World["store"]["append"] = async (wanted) => {
        if (wanted.standing.state === "ended") tries += 1;
        if (tries !== 1) return append(wanted);
        proxy.delay(300);
        const answer = append(wanted);
        answer.catch(() => {});
        await until(async () => (await spine.row(wanted.runId)).state === "ended");
        if (meanwhile) await createRefusals(spine.database).acknowledgement(wanted.runId, "slack:U1", "no role");
        await proxy.cut();
        await proxy.restore();
        return answer;
      };
      const worker = spine.newWorker({
        store: { ...store, append: ending },
        log: { ...spine.worker.world.log, warn: (_, message) => void warnings.push(message) },
        metrics: {
          ...metrics,
          runEnded: (outcome) => void counted.push(outcome),
          escalated: () => void counted.push("escalated"),
        },
      });
      const run = await spine.start();
      while ((await spine.row(run)).state !== "ended") await worker.drive(run);
      expect(tries).toBe(2);
      expect(counted).toEqual(["ineffective", "escalated"]);
      expect(spine.errors).toHaveLength(1);
      expect(warnings).toEqual(["the store is away; trying again while the lease holds"]);
    } finally {
      await faraway.close();
      await proxy.stop();
    }
  },
);

const breaksOff = () => Promise.reject(new TypeError("the text is broken"));

test.each([
  ["its playbook", { playbook: breaksOff }, "ward"],
  ["its playbook and its policy", { playbook: breaksOff, policyOf: breaksOff }, null],
] as const)(
  "a run whose workers all break off over %s before they decide is ended, and handed over",
  async (_, broken, policy) => {
    await spineWith({ playbooks: [playbookYaml({ extra: "escalate: ward" })] });
    const run = await spine.start();
    const breakOff = async () => {
      await expect(spine.newWorker(broken).drive(run)).rejects.toThrow("the text is broken");
      await spine.database.pool.query(
        "UPDATE paramedic.runs SET lease_until = now(), due_at = now() WHERE id = $1 AND state = 'running'",
        [run],
      );
    };
    for (let worker = 1; worker <= 4; worker++) await breakOff();
    await spine.newWorker(broken).drive(run);
    expect(await spine.row(run)).toMatchObject({ state: "ended", outcome: "failed" });
    const events = await spine.events(run);
    expect(events).toContainEqual(expect.objectContaining({ type: "escalated", policy }));
    expect(events.at(-1)).toMatchObject({ reason: expect.stringContaining("4 workers took this run over") });
    expect(spine.errors).toHaveLength(1);
  },
);
