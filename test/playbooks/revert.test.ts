/** How mitigations go, on the real store: begun, put back when due by a run of their own, early, never, stacked. */

import { parseMaintenanceWindow } from "../../src/domain/maintenance-window.ts";
import type { Mitigation } from "../../src/domain/mitigation.ts";
import { newId } from "../../src/ids.ts";
import { restackBy } from "../../src/playbooks/revert.ts";
import { connect } from "../../src/store/connect.ts";
import { createMitigations } from "../../src/store/mitigations.ts";
import { createRecoveries } from "../../src/store/recoveries.ts";
import { rethrow } from "../support/builders.ts";
import { patientActions } from "../support/patient.ts";
import { query } from "../support/postgres.ts";
import { alertOf, createSpine, playbookYaml, type Spine, type SpineOptions } from "../support/spine.ts";
import { until } from "../support/until.ts";

let spine: Spine;

afterEach(() => spine.close());

/** Moves the sick patient to another bed for a time. */
function moveYaml(
  options: { name?: string; bed?: string; step?: string; extra?: string; verify?: string } = {},
): string {
  const { name = "isolate", bed = "isolation", step = "revert_after: 1h", extra = "", verify } = options;
  return [
    `name: ${name}`,
    "summary: Move the patient for a time.",
    `on: { alerts: ['alertname="${name}"'], request: true, inputs: { limit: { type: integer, default: 9 } } }`,
    "target: { label: service }",
    "escalate: ward",
    extra,
    "steps:",
    "  - { id: look, do: patient.look }",
    `  - { id: move, do: patient.move, with: { bed: ${bed} }, approval: never, ${step} }`,
    verify ?? "verify:\n  - { do: patient.look, expect: '!output.sick', within: 1s, every: 1s }",
  ].join("\n");
}

async function spineWith(options: SpineOptions = {}): Promise<Spine> {
  spine = await createSpine({ playbooks: [moveYaml()], ...options });
  return spine;
}

const typesOf = async (runId: string) => (await spine.events(runId)).map((event) => event.type);

async function mitigations(): Promise<readonly Mitigation[]> {
  return spine.mitigations.list({ state: null, limit: 100 });
}

async function mitigationOf(runId: string): Promise<Mitigation> {
  const found = (await mitigations()).find((one) => one.runId === runId);
  if (!found) throw new Error(`run ${runId} made no mitigation`);
  return found;
}

/** Runs the playbook to its end. */
async function begin(name = "isolate"): Promise<string> {
  const run = await spine.start({ labels: { alertname: name, service: "ward" } });
  await spine.settle(run);
  return run;
}

/** As if its time were over. */
const makeDue = (mitigation: string) =>
  query(spine.url, "UPDATE paramedic.mitigations SET revert_at = now() WHERE id = $1", [mitigation]);

/** Puts the mitigation of the run back now, to the end; returns the run that does it, null where none was needed. */
async function putBack(runId: string): Promise<string | null> {
  await makeDue((await mitigationOf(runId)).id);
  const [run] = await spine.revertDue();
  if (run !== undefined) await spine.settle(run);
  return run ?? null;
}

test("a change for a time is noted, and put back when its time is over, by a run of its own", async () => {
  await spineWith({ playbooks: [moveYaml({ step: "revert_after: 1s" })] });
  const run = await begin();
  expect(await spine.row(run)).toMatchObject({ outcome: "fixed" });
  expect(await typesOf(run)).toEqual([
    "created",
    "step-observed",
    "step-planned",
    "step-started",
    "step-finished",
    "mitigation-began",
    "verification-checked",
    "ended",
  ]);
  const began = await mitigationOf(run);
  expect(began).toMatchObject({
    state: "in-force",
    playbook: "isolate",
    target: "ward",
    step: "move",
    action: "patient.move",
    effects: ["move the patient from ward to isolation"],
    onResolved: false,
    endedAt: null,
    revertRun: null,
  });
  expect(spine.patient.bed).toBe("isolation");

  const [reverting] = await until(async () => {
    const started = await spine.revertDue();
    return started.length > 0 && started;
  });
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(began.revertAt ?? ""));
  expect(await mitigationOf(run)).toMatchObject({ state: "reverting", revertRun: reverting });
  expect(await spine.settle(reverting as string)).toMatchObject({
    outcome: "fixed",
    playbook: "isolate",
    target: "ward",
    requestedBy: null,
  });
  const events = await spine.events(reverting as string);
  expect(events.map(({ type }) => type)).toEqual([
    "created",
    "step-planned",
    "step-started",
    "step-finished",
    "verification-checked",
    "mitigation-ended",
    "ended",
  ]);
  expect(events[0]).toMatchObject({
    trigger: { kind: "mitigation", mitigation: began.id, run, step: "move", reason: "its time is over", by: null },
  });
  expect(events[1]).toMatchObject({ effects: ["put back: move the patient from ward to isolation"] });
  expect(await spine.reads.firstBrokenEvent(reverting as string)).toBeNull();
  expect(spine.patient.moves).toEqual(["isolation", "ward"]);
  expect(await mitigationOf(run)).toMatchObject({ state: "reverted", endedAt: expect.any(String) });
  expect(await spine.revertDue()).toEqual([]);
});

test.each([
  ["no mitigation without revert_after", { playbooks: [moveYaml({ step: "timeout: 5s" })] }],
  ["no mitigation where nothing had to be changed", { patient: { bed: "isolation", sick: false } }],
])("%s", async (_what, options) => {
  await spineWith(options);
  const run = await begin();
  expect((await spine.row(run)).state).toBe("ended");
  expect(await mitigations()).toEqual([]);
});

test("a dry run makes no mitigation", async () => {
  await spineWith();
  const run = await spine.request("isolate", { dryRun: true });
  expect(await spine.settle(run)).toMatchObject({ outcome: "nothing-to-do" });
  expect(await mitigations()).toEqual([]);
  expect(spine.patient.bed).toBe("ward");
});

describe("until the alert resolves", () => {
  const playbooks = [moveYaml({ step: "revert_on: resolved", extra: "on_resolved: finish" })];
  const alert = () => {
    const { labels, fingerprint } = alertOf({ labels: { alertname: "isolate", service: "ward" } });
    return { labels, fingerprint };
  };

  test("it stays while the alert fires, and is put back once it resolves", async () => {
    await spineWith({ playbooks });
    const fired = alert();
    const run = await spine.start(fired);
    await spine.settle(run);
    expect(await mitigationOf(run)).toMatchObject({ state: "in-force", revertAt: null, onResolved: true });
    expect(await spine.revertDue()).toEqual([]);
    await spine.resolve(fired);
    const [reverting] = await spine.revertDue();
    expect(await spine.settle(reverting as string)).toMatchObject({ outcome: "fixed" });
    expect(spine.patient.moves).toEqual(["isolation", "ward"]);
    expect((await spine.events(reverting as string))[0]).toMatchObject({ trigger: { reason: "the alert resolved" } });
  });

  test("an alert that resolves while the change is made has it put back at once", async () => {
    await spineWith({ playbooks });
    const fired = alert();
    spine.patient.onApply = async ([bed]) => {
      spine.patient.onApply = null;
      await spine.resolve(fired);
      spine.patient.sick = false;
      spine.patient.bed = bed as string;
      return { status: "done", result: null };
    };
    const run = await spine.start(fired);
    await spine.settle(run);
    const [reverting] = await spine.revertDue();
    expect((await spine.events(reverting as string))[0]).toMatchObject({ trigger: { reason: "the alert resolved" } });
    await spine.settle(reverting as string);
    expect(spine.patient.bed).toBe("ward");
  });
});

describe("until its own run ends so", () => {
  const operating = "  - { id: heal, if: steps.look.sick, do: patient.operate }";
  const withOperation = (step: string) => moveYaml({ step }).replace("\nverify:", `\n${operating}\nverify:`);
  const decline = async (run: string) => {
    const [asked] = await spine.approvals.ofRun(run);
    await spine.approvals.answer({
      approval: asked?.id as string,
      decision: "decline",
      digest: asked?.digest as string,
      by: "api:boss",
      reason: null,
    });
  };

  test("verified: it stays while the run measures, and is put back once the run is fixed", async () => {
    await spineWith({ playbooks: [moveYaml({ step: "revert_on: verified, revert_after: 1h" })] });
    const run = await begin();
    expect(await mitigationOf(run)).toMatchObject({ state: "in-force", onResolved: false, onEnd: ["verified"] });
    const [reverting] = await spine.revertDue();
    expect((await spine.events(reverting as string))[0]).toMatchObject({
      trigger: { reason: "the run was verified to have helped" },
    });
    expect(await spine.settle(reverting as string)).toMatchObject({ outcome: "fixed" });
    expect(spine.patient.moves).toEqual(["isolation", "ward"]);
  });

  test("verified: what did not help stays, until what was handed over has recovered", async () => {
    await spineWith({
      playbooks: [moveYaml({ step: "revert_on: verified, revert_after: 1h" })],
      patient: { curable: false },
    });
    const run = await begin();
    expect(await spine.row(run)).toMatchObject({ outcome: "ineffective" });
    expect(await spine.revertDue()).toEqual([]);
    await query(spine.url, "UPDATE paramedic.escalations SET recheck_at = now() WHERE run_id = $1", [run]);
    await createRecoveries(spine.database).recovered(run, "the alert resolved, and it holds");
    spine.patient.sick = false;
    const [reverting] = await spine.revertDue();
    expect((await spine.events(reverting as string))[0]).toMatchObject({
      trigger: { reason: "the alert resolved, and it holds" },
    });
    await spine.settle(reverting as string);
    expect(spine.patient.bed).toBe("ward");
  });

  test.each([
    ["declined", "a later step was declined", decline],
    ["expired", "nobody approved a later step", async () => {}],
  ])("%s: it is put back, where nobody wanted what it was for", async (outcome, reason, happens) => {
    await spineWith({
      playbooks: [withOperation("revert_on: declined, revert_after: 1h")],
      patient: { curable: false },
      approvals: { expireAfterMs: outcome === "expired" ? 1_500 : 60_000, atLeast: 1 },
    });
    const run = await begin();
    expect(await spine.row(run)).toMatchObject({ waitingFor: "approval" });
    expect(await spine.revertDue()).toEqual([]);
    await happens(run);
    await until(async () => (await spine.settle(run)).outcome === outcome, { what: outcome });
    const [reverting] = await spine.revertDue();
    expect((await spine.events(reverting as string))[0]).toMatchObject({ trigger: { reason } });
    await spine.settle(reverting as string);
    expect(spine.patient.bed).toBe("ward");
  });

  test("declined: where the run goes well, it stays for its time", async () => {
    await spineWith({ playbooks: [moveYaml({ step: "revert_on: declined, revert_after: 1h" })] });
    const run = await begin();
    expect(await spine.row(run)).toMatchObject({ outcome: "fixed" });
    expect(await spine.revertDue()).toEqual([]);
  });
});

test("the checks are measured after putting back, with what the first run knew", async () => {
  const verify =
    "verify:\n  - { do: patient.look, expect: '!output.sick && steps.look.sick && inputs.limit == 9 && labels.service == \"ward\"', within: 1s, every: 1s }";
  await spineWith({ playbooks: [moveYaml({ verify })] });
  const run = await begin();
  expect(await spine.row(run)).toMatchObject({ outcome: "fixed" });
  const reverting = await putBack(run);
  expect(await spine.row(reverting as string)).toMatchObject({ outcome: "fixed" });
});

test("where the trouble comes back, people are told, and what was put back is put back", async () => {
  await spineWith({ patient: { relapses: true } });
  const run = await begin();
  const reverting = await putBack(run);
  expect(await spine.row(reverting as string)).toMatchObject({ outcome: "ineffective" });
  expect(await typesOf(reverting as string)).toContain("escalated");
  expect(await query(spine.url, "SELECT policy FROM paramedic.escalations WHERE run_id = $1", [reverting])).toEqual([
    { policy: "ward" },
  ]);
  expect(await mitigationOf(run)).toMatchObject({ state: "reverted" });
});

test("what cannot be put back is handed over, stays in the list, and can be tried again", async () => {
  await spineWith();
  const run = await begin();
  spine.patient.onRevert = () => ({ status: "failed", reason: "the ward is locked", retryable: false });
  const reverting = await putBack(run);
  expect(await spine.row(reverting as string)).toMatchObject({ outcome: "failed" });
  const events = await spine.events(reverting as string);
  expect(events.map(({ type }) => type)).toContain("escalated");
  expect(events.at(-1)).toMatchObject({ reason: expect.stringContaining("the ward is locked") });
  const failed = await mitigationOf(run);
  expect(failed).toMatchObject({ state: "failed" });
  // It is not tried by itself: people have it now.
  expect(await spine.revertDue()).toEqual([]);

  spine.patient.onRevert = null;
  expect(await spine.mitigations.decide(failed.id, "revert", "api:boss", "unlocked")).toMatchObject({
    kind: "decided",
    mitigation: { state: "in-force", decidedBy: "api:boss", endedAt: null },
  });
  const [again] = await spine.revertDue();
  expect(await spine.settle(again as string)).toMatchObject({ outcome: "fixed", requestedBy: "api:boss" });
  expect((await spine.events(again as string))[0]).toMatchObject({ trigger: { reason: "unlocked", by: "api:boss" } });
  expect(spine.patient.bed).toBe("ward");
  expect(await mitigationOf(run)).toMatchObject({ state: "reverted" });
});

test("a failure that may pass is tried again by the same run", async () => {
  await spineWith();
  const run = await begin();
  let tries = 0;
  spine.patient.onRevert = () => {
    tries += 1;
    return tries === 1 ? { status: "failed", reason: "a bed is in the way", retryable: true } : undefined;
  };
  const reverting = await putBack(run);
  expect(await spine.row(reverting as string)).toMatchObject({ outcome: "fixed" });
  expect(tries).toBe(2);
});

test("what may have been changed by a run that gave up is put back too", async () => {
  await spineWith();
  let tries = 0;
  spine.patient.onApply = ([bed]) => {
    tries += 1;
    if (tries === 3) spine.patient.bed = bed as string;
    return { status: "unknown", reason: "the radio is silent" };
  };
  const run = await begin();
  expect(await spine.row(run)).toMatchObject({ outcome: "unknown" });
  expect((await typesOf(run)).slice(-3)).toEqual(["mitigation-began", "escalated", "ended"]);
  await putBack(run);
  expect(spine.patient.moves).toEqual(["ward"]);
});

test("a change in doubt that turns out to be there is put back as it was planned before the doubt", async () => {
  await spineWith();
  spine.patient.onApply = ([bed]) => {
    spine.patient.bed = bed as string;
    return { status: "unknown", reason: "the radio is silent" };
  };
  const run = await begin();
  expect(await spine.row(run)).toMatchObject({ outcome: "ineffective" });
  await putBack(run);
  expect(spine.patient.bed).toBe("ward");
});

test("keeping it for good is the last word", async () => {
  await spineWith();
  const run = await begin();
  const { id } = await mitigationOf(run);
  await makeDue(id);
  expect(await spine.mitigations.decide(id, "keep", "api:boss", "it helps")).toMatchObject({ kind: "decided" });
  expect(await spine.revertDue()).toEqual([]);
  expect(await mitigationOf(run)).toMatchObject({ state: "kept", revertAt: null, reason: "it helps" });
  expect(await spine.mitigations.decide(id, "revert", "api:boss", "no")).toMatchObject({ kind: "over" });
  expect((await spine.events(run)).at(-1)).toMatchObject({
    type: "mitigation-decided",
    decision: "keep",
    by: "api:boss",
  });
  expect(await spine.reads.firstBrokenEvent(run)).toBeNull();
});

describe("two mitigations of one thing", () => {
  const playbooks = [moveYaml({ name: "first", bed: "isolation" }), moveYaml({ name: "second", bed: "surgery" })];

  async function both(): Promise<readonly [string, string]> {
    await spineWith({ playbooks });
    const runs = [await begin("first"), await begin("second")] as const;
    expect(spine.patient.bed).toBe("surgery");
    return runs;
  }

  test("the lower one first: it gives way, and the upper one puts back what was there before both", async () => {
    const [lower, upper] = await both();
    expect(await putBack(lower)).toBeNull();
    expect(spine.patient.bed).toBe("surgery");
    expect(await mitigationOf(lower)).toMatchObject({
      state: "reverted",
      reason: expect.stringContaining("a later change"),
    });
    expect((await spine.events(lower)).at(-1)).toMatchObject({ type: "mitigation-ended", reverted: true });
    expect(await spine.reads.firstBrokenEvent(lower)).toBeNull();
    expect(await spine.row((await putBack(upper)) as string)).toMatchObject({ outcome: "fixed" });
    expect(spine.patient.moves).toEqual(["isolation", "surgery", "ward"]);
  });

  test("the upper one first: what the lower one did is there again, until it is put back too", async () => {
    const [lower, upper] = await both();
    expect(await spine.row((await putBack(upper)) as string)).toMatchObject({ outcome: "fixed" });
    expect(spine.patient.bed).toBe("isolation");
    expect(await spine.row((await putBack(lower)) as string)).toMatchObject({ outcome: "fixed" });
    expect(spine.patient.moves).toEqual(["isolation", "surgery", "isolation", "ward"]);
  });

  test("both at once end where both began", async () => {
    const [lower, upper] = await both();
    for (const run of [upper, lower]) await makeDue((await mitigationOf(run)).id);
    for (const run of await spine.revertDue()) await spine.settle(run);
    await query(spine.url, "UPDATE paramedic.mitigations SET revert_at = now() WHERE state = 'in-force'");
    for (const run of await spine.revertDue()) await spine.settle(run);
    expect(spine.patient.bed).toBe("ward");
    expect((await mitigations()).map(({ state }) => state)).toEqual(["reverted", "reverted"]);
  });

  test("the upper one is kept: the lower one leaves it alone", async () => {
    const [lower, upper] = await both();
    const { id } = await mitigationOf(upper);
    await spine.mitigations.decide(id, "keep", "api:boss", "surgery it is");
    expect(await putBack(lower)).toBeNull();
    expect(spine.patient.bed).toBe("surgery");
    expect((await mitigations()).map(({ state }) => state).sort()).toEqual(["kept", "reverted"]);
  });

  test("the upper one could not be put back: it is still there, so the lower one gives way", async () => {
    const [lower, upper] = await both();
    spine.patient.onRevert = () => ({ status: "failed", reason: "the lift is stuck", retryable: false });
    await putBack(upper);
    spine.patient.onRevert = null;
    expect(await putBack(lower)).toBeNull();
    await spine.mitigations.decide((await mitigationOf(upper)).id, "revert", "api:boss", "the lift goes again");
    const [again] = await spine.revertDue();
    expect(await spine.settle(again as string)).toMatchObject({ outcome: "fixed" });
    expect(spine.patient.bed).toBe("ward");
  });

  test("while one is being put back, the other one waits for it", async () => {
    const [lower, upper] = await both();
    await makeDue((await mitigationOf(upper)).id);
    const [reverting] = await spine.revertDue();
    expect(await putBack(lower)).toBeNull();
    expect(await mitigationOf(lower)).toMatchObject({ state: "in-force" });
    await spine.settle(reverting as string);
    expect(await spine.row((await putBack(lower)) as string)).toMatchObject({ outcome: "fixed" });
    expect(spine.patient.bed).toBe("ward");
  });

  test("those of another target do not know of each other", async () => {
    await spineWith({ playbooks });
    const ward = await begin("first");
    const clinic = await spine.start({ labels: { alertname: "second", service: "clinic" } });
    await spine.settle(clinic);
    spine.patient.bed = "isolation";
    expect(await putBack(ward)).not.toBeNull();
  });
});

test("the kill switch holds it", async () => {
  await spineWith();
  const run = await begin();
  await spine.switches.set({ paused: true, reason: "r", by: "api:boss", until: null });
  const reverting = await putBack(run);
  expect(await spine.row(reverting as string)).toMatchObject({ state: "waiting", waitingFor: "switch" });
  expect(spine.patient.bed).toBe("isolation");
  await spine.switches.set({ paused: false, reason: "r", by: "api:boss", until: null });
  expect(await spine.settle(reverting as string)).toMatchObject({ outcome: "fixed" });
});

test("it waits for a run that has its target", async () => {
  await spineWith({ playbooks: [moveYaml(), playbookYaml()] });
  const run = await begin();
  let release = () => {};
  spine.patient.sick = true;
  spine.patient.onApply = (plan) =>
    new Promise((resolve) => {
      release = () => {
        spine.patient.sick = false;
        spine.patient.things = [];
        resolve({ status: "done", result: [...plan] });
      };
    });
  const other = await spine.start();
  const driven = spine.newWorker().drive(other);
  await until(async () => (await typesOf(other)).includes("step-started"));
  const reverting = await putBack(run);
  expect(await spine.row(reverting as string)).toMatchObject({ state: "waiting", waitingFor: "target" });
  expect(spine.patient.bed).toBe("isolation");
  release();
  await driven;
  await spine.settle(other);
  expect(await spine.settle(reverting as string)).toMatchObject({ outcome: "fixed" });
  expect(spine.patient.bed).toBe("ward");
});

test("putting back is no try of the playbook: neither its budget nor its cool-down counts it", async () => {
  await spineWith({ playbooks: [moveYaml({ extra: "budget: [2/1h]" })] });
  const first = await begin();
  await putBack(first);
  spine.patient.sick = true;
  const second = await begin();
  expect(await spine.row(second)).toMatchObject({ outcome: "fixed" });
  expect((await spine.events(second)).find(({ type }) => type === "rails-checked")).toMatchObject({
    budget: [{ limit: 2, used: 1 }],
  });
});

test("however many workers look, each is put back by one run", async () => {
  await spineWith({
    playbooks: ["a", "b", "c"].map((name) => moveYaml({ name, bed: name })),
  });
  for (const name of ["a", "b", "c"]) {
    const service = name === "b" ? "clinic" : "ward";
    await spine.settle(await spine.start({ labels: { alertname: name, service } }));
  }
  await query(spine.url, "UPDATE paramedic.mitigations SET revert_at = now()");
  const restack = restackBy(patientActions(spine.patient));
  const databases = Array.from({ length: 5 }, () => connect(spine.url));
  try {
    const looks = databases.flatMap((database) => {
      const one = createMitigations(database, newId, Date.now);
      return [one.revertDue(restack, rethrow), one.revertDue(restack, rethrow)];
    });
    const started = (await Promise.all(looks)).flat();
    // `c` was moved over `a`, which gives way.
    expect(started).toHaveLength(2);
    const found = await query(spine.url, "SELECT id FROM paramedic.runs WHERE trigger = 'mitigation'");
    expect(found.map(({ id }) => id).sort()).toEqual([...started].sort());
  } finally {
    await Promise.all(databases.map((database) => database.close()));
  }
});

test("a run that puts back can be cancelled; what is left in force is said, and can be put back again", async () => {
  await spineWith();
  const run = await begin();
  await makeDue((await mitigationOf(run)).id);
  const [reverting] = await spine.revertDue();
  await spine.requests.cancel(reverting as string, "api:boss", "not now");
  expect(await spine.settle(reverting as string)).toMatchObject({ outcome: "cancelled" });
  expect(await mitigationOf(run)).toMatchObject({ state: "failed" });
  expect(spine.patient.bed).toBe("isolation");
  await spine.mitigations.decide((await mitigationOf(run)).id, "revert", "api:boss", "now");
  const [again] = await spine.revertDue();
  await spine.settle(again as string);
  expect(spine.patient.bed).toBe("ward");
});

test("what was changed for a time inside a maintenance window is put back outside of it as well", async () => {
  const window = parseMaintenanceWindow("daily 00:00-24:00 UTC");
  const postgres = { url: "postgres://nobody@127.0.0.1:1/none", users: ["nobody"], databases: ["none"] };
  const ward = { name: "ward", host: null, labels: { service: ["ward"] } };
  const playbooks = [moveYaml({ step: "revert_after: 1h", extra: "during: maintenance" })];
  const open = { ...ward, postgres: { ...postgres, ...(window && { maintenance: [window] }) } };
  await spineWith({ playbooks, targets: [open] });
  const run = await begin();
  expect(await spine.row(run)).toMatchObject({ outcome: "fixed" });
  const { url } = spine;
  await spine.close();

  await spineWith({ playbooks, targets: [{ ...ward, postgres }], url, patient: { sick: false, bed: "isolation" } });
  expect(await spine.row((await putBack(run)) ?? "")).toMatchObject({ outcome: "fixed" });
  expect(spine.patient.moves).toEqual(["ward"]);
  // A change of its own is refused there.
  spine.patient.sick = true;
  expect(await spine.row(await begin())).toMatchObject({ outcome: "refused" });
});
