/** After a hand-over: people are let go when the alert has resolved and the playbook's checks hold again, and not before. */

import { lookForRecoveries, type RecoverWorld } from "../../src/playbooks/recover.ts";
import { inTransaction } from "../../src/store/connect.ts";
import { createRecoveries } from "../../src/store/recoveries.ts";
import { createUnasked, type UnaskedApproval } from "../../src/store/unasked.ts";
import { mailAddress, type OnCall, routingKey, startOnCall } from "../support/on-call.ts";
import { playbookYaml } from "../support/spine.ts";
import { until } from "../support/until.ts";

let oncall: OnCall;

const levels = [
  { afterMs: 0, pagerduty: { reveal: () => routingKey }, email: [mailAddress] },
  { afterMs: 600_000, email: ["chief@example.net"] },
];
const slow = "verify:\n  - { do: patient.look, expect: '!output.sick', within: 3s, every: 1s }";
const playbooks = [
  playbookYaml({ extra: "escalate: ward" }),
  playbookYaml({ name: "unmeasured", alertname: "Unmeasured", extra: "escalate: ward", verify: " " }),
  playbookYaml({ name: "holding", alertname: "Held", extra: "escalate: { policy: ward, hold: 1h }", verify: slow }),
  playbookYaml({
    name: "asking",
    alertname: "Asked",
    heal: "patient.operate",
    extra: "escalate: { policy: ward, hold: 1h }",
  }),
  playbookYaml({ name: "finishing", alertname: "Finish", extra: "escalate: ward\non_resolved: finish" }),
];

beforeEach(async () => {
  oncall = await startOnCall(levels, { playbooks, patient: { curable: false } });
});

afterEach(() => oncall.close());

const alert = { fingerprint: "00000000000000ab" };

/** A run that was handed over, with the page on its way to the engineer. */
async function handedOver(alertname = "Sick"): Promise<string> {
  const run = await oncall.spine.start({ ...alert, labels: { alertname, service: "ward" } });
  expect((await oncall.spine.settle(run)).state).toBe("ended");
  oncall.open();
  await until(() => oncall.pagerDuty.open(routingKey).size === 1 && oncall.smtp.mails.length === 1, {
    what: "people to be told",
  });
  return run;
}

/** Looks once, as every worker does every two seconds. */
async function look(over: Partial<RecoverWorld> = {}): Promise<void> {
  const { playbook, targets, log } = oncall.spine.worker.world;
  const world: RecoverWorld = {
    store: createRecoveries(oncall.spine.database),
    playbook,
    targets,
    host: null,
    tellPeople: () => {},
    pausedHere: () => false,
    log,
    now: Date.now,
    ...over,
  };
  await lookForRecoveries(world, new AbortController().signal);
}

const resolve = () => oncall.spine.resolve(alert);

/** What is to be looked at again after a time is looked at now. */
const later = () =>
  oncall.spine.database.pool.query("UPDATE paramedic.escalations SET recheck_at = now() WHERE recheck_at IS NOT NULL");

async function escalation(run: string) {
  const { rows } = await oncall.spine.database.pool.query(
    `SELECT recovered_at IS NOT NULL AS recovered, due_at, rechecks,
       extract(epoch FROM recheck_at - now())::float8 AS again FROM paramedic.escalations WHERE run_id = $1`,
    [run],
  );
  return rows[0];
}

const happened = async (run: string, type: string) =>
  (await oncall.spine.events(run)).filter((event) => event.type === type);

test("the alert resolves and the checks hold: the page is resolved, the mail says so, and no later level is told", async () => {
  const run = await handedOver();
  oncall.spine.patient.sick = false;
  await resolve();
  await look();
  expect((await oncall.spine.events(run)).slice(-3)).toMatchObject([
    { type: "alert-resolved" },
    { type: "recovery-checked", passed: true, reason: null },
    { type: "recovered", reason: "the alert resolved, and every check of the playbook holds" },
  ]);
  expect(await escalation(run)).toEqual({ recovered: true, due_at: null, rechecks: 0, again: null });
  await until(() => oncall.pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
  await until(() => oncall.smtp.mails.length === 2, { what: "the mail" });
  expect(oncall.smtp.mails[1]?.to).toEqual([mailAddress]);
  await until(async () => (await oncall.messages()).join() === "email delivered,pagerduty delivered", {
    what: "both to be over",
  });
  expect(await oncall.spine.reads.firstBrokenEvent(run)).toBeNull();
});

test("the alert resolves and the checks do not hold: people stay told until they do", async () => {
  const run = await handedOver();
  await resolve();
  await look();
  expect(await happened(run, "recovery-checked")).toMatchObject([
    { passed: false, reason: expect.stringContaining("'!output.sick' does not hold") },
  ]);
  const waiting = await escalation(run);
  expect(waiting).toMatchObject({ recovered: false, rechecks: 1, due_at: expect.any(Date) });
  expect(waiting.again).toBeGreaterThan(25);
  await later();
  await look();
  expect(await happened(run, "recovery-checked")).toHaveLength(1);
  expect(oncall.pagerDuty.open(routingKey).size).toBe(1);
  oncall.spine.patient.sick = false;
  const looks = oncall.spine.patient.looks;
  await look();
  expect(oncall.spine.patient.looks).toBe(looks);
  await later();
  await look();
  expect(await happened(run, "recovered")).toHaveLength(1);
  await until(() => oncall.pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
});

test("after forty times nothing is measured any more: the history says so, and it is left to a person", async () => {
  const run = await handedOver();
  await resolve();
  await oncall.spine.database.pool.query("UPDATE paramedic.escalations SET rechecks = 39 WHERE run_id = $1", [run]);
  await look();
  expect(await escalation(run)).toMatchObject({ recovered: false, rechecks: 40, again: null });
  expect(await happened(run, "recovery-checked")).toMatchObject([{ passed: false }]);
  const looks = oncall.spine.patient.looks;
  await later();
  await look();
  expect(oncall.spine.patient.looks).toBe(looks);
  expect(oncall.pagerDuty.open(routingKey).size).toBe(1);
});

test("a run that fixed its target while its page was held has nothing to recover from", async () => {
  const run = await oncall.spine.start({ ...alert, labels: { alertname: "Held", service: "ward" } });
  await oncall.spine.worker.drive(run);
  expect(await oncall.spine.row(run)).toMatchObject({ waitingFor: "verification" });
  await resolve();
  oncall.spine.patient.sick = false;
  expect(await oncall.spine.settle(run)).toMatchObject({ outcome: "fixed" });
  const looks = oncall.spine.patient.looks;
  await look();
  expect(oncall.spine.patient.looks).toBe(looks);
  expect(await happened(run, "recovered")).toEqual([]);
});

test("an alert that still fires lets nobody go, however well the checks look", async () => {
  const run = await handedOver();
  oncall.spine.patient.sick = false;
  const looks = oncall.spine.patient.looks;
  await look();
  expect(oncall.spine.patient.looks).toBe(looks);
  expect(await happened(run, "recovered")).toEqual([]);
});

test("a playbook that measures nothing leaves it to a person, and its history says so", async () => {
  const run = await handedOver("Unmeasured");
  oncall.spine.patient.sick = false;
  await resolve();
  await look();
  expect(await happened(run, "recovery-checked")).toMatchObject([
    { passed: false, reason: expect.stringMatching(/no `verify`; somebody must acknowledge it$/) },
  ]);
  expect(await escalation(run)).toMatchObject({ recovered: false, again: null });
  expect(oncall.pagerDuty.open(routingKey).size).toBe(1);
  expect(await oncall.escalations.acknowledge(run, "api:night")).toMatchObject({ kind: "acknowledged" });
});

test("a playbook that this worker cannot read is left to one that can", async () => {
  const run = await handedOver();
  oncall.spine.patient.sick = false;
  await resolve();
  await look({ playbook: async () => null });
  expect(await happened(run, "recovery-checked")).toEqual([]);
  await later();
  await look();
  expect(await happened(run, "recovered")).toHaveLength(1);
});

test("one whose measuring breaks off is counted, told of, and left to a person after forty times", async () => {
  const run = await handedOver();
  await resolve();
  const breaksOff = { playbook: () => Promise.reject(new Error("the text is broken")) };
  await look(breaksOff);
  const reason = "it cannot be measured whether it is over (the text is broken)";
  expect(await happened(run, "recovery-checked")).toMatchObject([{ passed: false, reason }]);
  const waiting = await escalation(run);
  expect(waiting).toMatchObject({ recovered: false, rechecks: 1 });
  expect(waiting.again).toBeLessThan(31);
  await oncall.spine.database.pool.query("UPDATE paramedic.escalations SET rechecks = 39, recheck_at = now()");
  await look(breaksOff);
  expect(await escalation(run)).toMatchObject({ recovered: false, rechecks: 40, again: null });
  expect(await happened(run, "recovery-checked")).toHaveLength(2);
});

test("nothing is measured while the kill switch is on, or this process is paused", async () => {
  const run = await handedOver();
  oncall.spine.patient.sick = false;
  await resolve();
  const turn = (paused: boolean) => oncall.spine.switches.set({ paused, reason: "a test", by: "api:x", until: null });
  const looks = oncall.spine.patient.looks;
  await turn(true);
  await look();
  await turn(false);
  await look({ pausedHere: () => true });
  expect(oncall.spine.patient.looks).toBe(looks);
  expect(await happened(run, "recovered")).toEqual([]);
  await look();
  expect(await happened(run, "recovered")).toHaveLength(1);
});

test("of many workers one measures, and one says that it is over", async () => {
  const run = await handedOver();
  oncall.spine.patient.sick = false;
  await resolve();
  const looks = oncall.spine.patient.looks;
  await Promise.all(Array.from({ length: 5 }, () => look()));
  expect(oncall.spine.patient.looks).toBe(looks + 1);
  expect(await happened(run, "recovered")).toHaveLength(1);
});

test("an alert that resolved before the run gave up is not forgotten: the checks are measured once more", async () => {
  const run = await oncall.spine.start({ ...alert, labels: { alertname: "Finish", service: "ward" } });
  await oncall.spine.worker.drive(run);
  expect(await oncall.spine.row(run)).toMatchObject({ waitingFor: "verification" });
  await resolve();
  expect(await oncall.spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  const waiting = await escalation(run);
  expect(waiting.again).toBeGreaterThan(25);
  expect(waiting.again).toBeLessThan(31);
  oncall.open();
  await until(() => oncall.pagerDuty.open(routingKey).size === 1, { what: "the page" });
  oncall.spine.patient.sick = false;
  await later();
  await look();
  expect(await happened(run, "recovered")).toHaveLength(1);
  await until(() => oncall.pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
});

test("a hand-over whose alert still fires is not measured", async () => {
  const run = await handedOver();
  expect(await escalation(run)).toMatchObject({ again: null });
});

test("an alert that resolves while its run is being handed over is measured all the same", async () => {
  const run = await oncall.spine.start(alert);
  await oncall.spine.worker.drive(run);
  let resolving: Promise<unknown> = Promise.resolve();
  await inTransaction(oncall.spine.database.pool, async (client) => {
    await client.query("SELECT FROM paramedic.runs WHERE id = $1 FOR UPDATE", [run]);
    resolving = resolve();
    resolving.catch(() => {});
    const blocked = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    await until(async () => (await oncall.spine.database.pool.query(blocked)).rowCount === 1, {
      what: "the two to meet",
    });
    await client.query(
      "UPDATE paramedic.runs SET state = 'ended', waiting_for = NULL, outcome = 'failed' WHERE id = $1",
      [run],
    );
    await client.query("INSERT INTO paramedic.escalations (run_id, policy) VALUES ($1, 'ward')", [run]);
  });
  await resolving;
  expect((await escalation(run)).again).toBeLessThanOrEqual(0);
});

test("a held page that somebody has is resolved too, when the run has given up and it is over", async () => {
  const run = await oncall.spine.start({ ...alert, labels: { alertname: "Held", service: "ward" } });
  await oncall.spine.worker.drive(run);
  await oncall.spine.database.pool.query("UPDATE paramedic.escalations SET due_at = now() WHERE held");
  oncall.open();
  await until(() => oncall.pagerDuty.open(routingKey).size === 1, { what: "the page" });
  await oncall.escalations.acknowledge(run, "api:night");
  expect(await oncall.spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  oncall.spine.patient.sick = false;
  await resolve();
  await look();
  await until(() => oncall.pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
  const triggers = oncall.pagerDuty.requests.filter(({ body }) => body?.["event_action"] === "trigger");
  expect(triggers).toHaveLength(1);
});

describe("people who were told while the run went on, which then ended without an effect", () => {
  const declined = { outcome: "declined", ends: (run: string) => answer(run, "decline") };
  const cancelled = {
    outcome: "cancelled",
    ends: (run: string) => oncall.spine.requests.cancel(run, "api:night", "mine"),
  };

  /** A run that waits for approval, with people told: because the hold is over, or because nobody could be asked. */
  async function told(topic: "held" | "approval-unasked"): Promise<string> {
    const run = await oncall.spine.start({ ...alert, labels: { alertname: "Asked", service: "ward" } });
    expect(await oncall.spine.settle(run)).toMatchObject({ waitingFor: "approval" });
    if (topic === "held")
      await oncall.spine.database.pool.query("UPDATE paramedic.escalations SET due_at = now() WHERE held");
    else {
      const unasked = createUnasked(oncall.spine.database);
      const [approval] = await unasked.find(-1);
      await unasked.escalate(approval as UnaskedApproval, "ward", "nobody could be asked");
    }
    oncall.open();
    await until(() => oncall.pagerDuty.open(routingKey).size === 1, { what: "people to be told" });
    expect(await happened(run, "escalated")).toMatchObject([{ topic }]);
    return run;
  }

  async function answer(run: string, decision: "approve" | "decline"): Promise<void> {
    const [approval] = await oncall.spine.approvals.ofRun(run);
    if (!approval) throw new Error("no approval is pending");
    await oncall.spine.approvals.answer({ ...approval, approval: approval.id, decision, by: "api:boss", reason: null });
  }

  test.each([
    { topic: "held", ...declined },
    { topic: "held", ...cancelled },
    { topic: "approval-unasked", ...declined },
    { topic: "approval-unasked", ...cancelled },
  ] as const)(
    "$topic, then $outcome: measured when the alert resolves, and let go",
    async ({ topic, outcome, ends }) => {
      const run = await told(topic);
      await ends(run);
      // While somebody notes who was told, the run cannot be claimed; then it is looked at again.
      await until(async () => (await oncall.spine.settle(run)).outcome === outcome, { what: "the run to end" });
      // A question is over with its decision, and a page for the trouble is not.
      const open = topic === "held" ? 1 : 0;
      await until(() => oncall.pagerDuty.open(routingKey).size === open, { what: "the page to be as it should" });
      await resolve();
      await look();
      expect(await happened(run, "recovery-checked")).toMatchObject([{ passed: false }]);
      expect(oncall.pagerDuty.open(routingKey).size).toBe(open);
      oncall.spine.patient.sick = false;
      await later();
      await look();
      expect(await happened(run, "recovered")).toHaveLength(1);
      await until(() => oncall.pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
    },
  );

  test.each(["held", "approval-unasked"] as const)(
    "%s, then the alert resolves and nothing is well: the run is handed over, and the page stays until it is",
    async (topic) => {
      const run = await told(topic);
      await resolve();
      await until(async () => (await oncall.spine.settle(run)).outcome === "ineffective", { what: "the run to end" });
      expect((await happened(run, "ended"))[0]).toMatchObject({
        reason: expect.stringContaining(
          "the alert resolved before anything was changed, but what is measured does not",
        ),
      });
      await look();
      const ofTheTrouble = () =>
        [...oncall.pagerDuty.open(routingKey).keys()].filter((key) => !key.includes(":question:"));
      await until(() => ofTheTrouble().length === 1, { what: "the page" });
      const resolved = oncall.pagerDuty.requests.filter(({ body }) => body?.["event_action"] === "resolve");
      expect(resolved.filter(({ body }) => !String(body?.["dedup_key"]).includes(":question:"))).toEqual([]);
      oncall.spine.patient.sick = false;
      await later();
      // A desk that tells of the hand-over has it meanwhile.
      const isRecovered = async () => {
        await look();
        return (await happened(run, "recovered")).length === 1;
      };
      await until(isRecovered, { what: "the recovery" });
      await until(() => oncall.pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
    },
  );

  test.each(["held", "approval-unasked"] as const)(
    "%s, then the alert resolves and all is well: measured, resolved, let go",
    async (topic) => {
      const run = await told(topic);
      oncall.spine.patient.sick = false;
      await resolve();
      await until(async () => (await oncall.spine.settle(run)).outcome === "resolved", { what: "the run to end" });
      expect(await happened(run, "verification-checked")).toMatchObject([{ passed: true }]);
      await until(() => oncall.pagerDuty.open(routingKey).size === 0, { what: "the page to be resolved" });
    },
  );

  test("nothing is measured while such a run still goes on", async () => {
    const run = await told("held");
    oncall.spine.patient.sick = false;
    const looks = oncall.spine.patient.looks;
    await oncall.spine.database.pool.query("UPDATE paramedic.escalations SET recheck_at = now()");
    await look();
    expect(oncall.spine.patient.looks).toBe(looks);
    expect(await happened(run, "recovered")).toEqual([]);
  });
});

describe("checks that must be measured on the target's host", () => {
  /** This worker's world, were the checks those of a host, and the ward a target there. */
  function atHost(): Partial<RecoverWorld> {
    const { playbook, targets } = oncall.spine.worker.world;
    return {
      targets: new Map([...targets].map(([name, target]) => [name, { ...target, host: "app-1" }])),
      playbook: async (hash) => {
        const loaded = await playbook(hash);
        if (!loaded) return null;
        return { ...loaded, checks: loaded.checks.map((one) => ({ ...one, check: { ...one.check, onHost: true } })) };
      },
    };
  }

  test("are left to a worker of that host, at once, and no other one measures", async () => {
    const run = await handedOver();
    oncall.spine.patient.sick = false;
    await resolve();
    const looks = oncall.spine.patient.looks;
    await look(atHost());
    expect(await escalation(run)).toMatchObject({ recovered: false, rechecks: 0 });
    expect((await escalation(run)).again).toBeLessThanOrEqual(0);
    await look({ ...atHost(), host: "app-2" });
    await look();
    expect(oncall.spine.patient.looks).toBe(looks);
    expect(await happened(run, "recovery-checked")).toEqual([]);
    await look({ ...atHost(), host: "app-1" });
    expect(oncall.spine.patient.looks).toBe(looks + 1);
    expect(await happened(run, "recovered")).toHaveLength(1);
  });

  test("are measured by the first worker that looks where it is one of that host", async () => {
    const run = await handedOver();
    oncall.spine.patient.sick = false;
    await resolve();
    await look({ ...atHost(), host: "app-1" });
    expect(await happened(run, "recovered")).toHaveLength(1);
  });

  test("are left to no host where the checks are such that any worker measures them", async () => {
    const run = await handedOver();
    oncall.spine.patient.sick = false;
    await resolve();
    const { targets } = atHost();
    await look({ ...(targets && { targets }) });
    expect(await happened(run, "recovered")).toHaveLength(1);
  });
});
