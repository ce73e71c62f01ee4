/** Holding the page, on the real store, with PagerDuty and mail: people hear of a run only when it has not fixed its target in that time. */

import { newId } from "../../src/ids.ts";
import { createRequestRun } from "../../src/playbooks/request.ts";
import { connect } from "../../src/store/connect.ts";
import { createEscalations } from "../../src/store/escalations.ts";
import { createRequests } from "../../src/store/requests.ts";
import { playbook } from "../support/builders.ts";
import { mailAddress, type OnCall, routingKey, startOnCall } from "../support/on-call.ts";
import { playbookYaml } from "../support/spine.ts";
import { until } from "../support/until.ts";

let oncall: OnCall;

const levels = [
  { afterMs: 0, pagerduty: { reveal: () => routingKey } },
  { afterMs: 400, email: [mailAddress] },
  { afterMs: 600_000, email: ["chief@example.net"] },
];

/** A run that is told of one hour after it began, and goes on measuring for a minute. */
const holding = playbookYaml({
  extra: "escalate: { policy: ward, hold: 1h }",
  verify: "verify:\n  - { do: patient.look, expect: '!output.sick', within: 60s, every: 1s }",
});
/** The same that gives up at once. */
const impatient = playbookYaml({
  name: "impatient",
  alertname: "Hopeless",
  extra: "escalate: { policy: ward, hold: 1h }",
});

beforeEach(async () => {
  oncall = await startOnCall(levels, { playbooks: [holding, impatient], patient: { curable: false } });
});

afterEach(() => oncall.close());

/** A run that waits for its next measurement. */
async function underWay(): Promise<string> {
  const run = await oncall.spine.start();
  await oncall.spine.worker.drive(run);
  expect(await oncall.spine.row(run)).toMatchObject({ state: "waiting", waitingFor: "verification" });
  return run;
}

/** The time for which the page is held passes. */
async function holdPasses(): Promise<void> {
  const sql = "UPDATE paramedic.escalations SET due_at = now() WHERE held AND due_at > now() + interval '30 minutes'";
  expect((await oncall.spine.database.pool.query(sql)).rowCount).toBe(1);
}

const escalation = async (run: string) =>
  (
    await oncall.spine.database.pool.query(
      "SELECT topic, held, due_at, next_level FROM paramedic.escalations WHERE run_id = $1",
      [run],
    )
  ).rows[0];

const happened = async (run: string, type: string) =>
  (await oncall.spine.events(run)).filter((event) => event.type === type);

const pages = () => oncall.pagerDuty.open(routingKey);

/** Nobody may be told once a desk has looked and found nothing more that is due. */
async function settled(run: string): Promise<void> {
  await until(async () => (await escalation(run))?.due_at === null, { what: "the escalation to be over" });
  const { rowCount } = await oncall.spine.database.pool.query("SELECT FROM paramedic.outbox WHERE state = 'waiting'");
  expect(rowCount).toBe(0);
}

test("nobody is told before the time, however long the desk looks", async () => {
  const run = await underWay();
  const { rows } = await oncall.spine.database.pool.query(
    "SELECT extract(epoch FROM due_at - now())::float8 AS seconds FROM paramedic.escalations WHERE run_id = $1",
    [run],
  );
  expect(rows[0].seconds).toBeGreaterThan(3_500);
  expect(await oncall.escalations.advance(() => levels.map(({ afterMs }) => ({ afterMs, ways: ["email"] })))).toEqual({
    due: 0,
    unknown: [],
  });
  expect(await oncall.escalations.acknowledge(run, "api:night")).toEqual({ kind: "not-escalated" });
});

test("a run that was fixed in that time tells nobody", async () => {
  oncall.spine.patient.curable = true;
  const run = await oncall.spine.start();
  expect(await oncall.spine.settle(run)).toMatchObject({ outcome: "fixed" });
  await holdPasses();
  oncall.open();
  await settled(run);
  expect(oncall.pagerDuty.requests).toEqual([]);
  expect(await happened(run, "escalated")).toEqual([]);
  expect(await oncall.escalations.acknowledge(run, "api:night")).toEqual({ kind: "not-escalated" });
});

test("a run that goes on is told of when the time is over, and its levels go on from there", async () => {
  const run = await underWay();
  oncall.open();
  await holdPasses();
  await until(() => pages().size === 1, { what: "the page" });
  expect(await happened(run, "escalated")).toMatchObject([
    { topic: "held", policy: "ward", reason: expect.stringContaining("not verifiably fixed it in the time") },
  ]);
  await until(() => oncall.smtp.mails.length === 1, { what: "the second level" });
  expect(oncall.smtp.mails[0]?.to).toEqual([mailAddress]);
  expect(oncall.smtp.mails[0]?.raw).toContain(`paramedic ack ${run}`);
  expect(await escalation(run)).toMatchObject({ topic: "held", held: false, next_level: 2 });
  expect(await oncall.spine.reads.firstBrokenEvent(run)).toBeNull();
});

test("a run that is fixed after the page was sent resolves it, and no later level is told", async () => {
  const run = await underWay();
  oncall.open();
  await holdPasses();
  await until(() => oncall.smtp.mails.length === 1, { what: "the second level" });
  oncall.spine.patient.sick = false;
  expect(await oncall.spine.settle(run)).toMatchObject({ outcome: "fixed" });
  await until(() => pages().size === 0, { what: "the page to be resolved" });
  expect(oncall.pagerDuty.requests.at(-1)?.body).toMatchObject({ event_action: "resolve" });
  await until(() => oncall.smtp.mails.length === 2, { what: "the mail that says so" });
  expect(oncall.smtp.mails[1]?.to).toEqual([mailAddress]);
  await oncall.spine.database.pool.query("UPDATE paramedic.escalations SET due_at = now() WHERE run_id = $1", [run]);
  await settled(run);
  expect(oncall.smtp.mails.flatMap(({ to }) => to)).not.toContain("chief@example.net");
});

test("a run that gives up earlier tells at once, and the held page adds nothing", async () => {
  const run = await oncall.spine.start({ labels: { alertname: "Hopeless", service: "ward" } });
  expect(await oncall.spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  expect(await escalation(run)).toMatchObject({ topic: "handed-over", held: false });
  oncall.open();
  await until(() => pages().size === 1, { what: "the page" });
  await until(() => oncall.smtp.mails.length === 1, { what: "the second level" });
  expect((await happened(run, "escalated")).map((event) => "topic" in event && event.topic)).not.toContain("held");
  expect(oncall.pagerDuty.requests).toHaveLength(1);
});

test("the levels of a run that gives up while its page is held count from then, however long it was held", async () => {
  const run = await oncall.spine.start({ labels: { alertname: "Hopeless", service: "ward" } });
  const { pool } = oncall.spine.database;
  await pool.query("UPDATE paramedic.escalations SET began_at = now() - interval '20 minutes' WHERE run_id = $1", [
    run,
  ]);
  expect(await oncall.spine.settle(run)).toMatchObject({ outcome: "ineffective" });
  oncall.open();
  await until(() => oncall.smtp.mails.length === 1, { what: "the second level" });
  // The third one is ten minutes after the first.
  expect(await escalation(run)).toMatchObject({ topic: "handed-over", next_level: 2 });
  expect(oncall.smtp.mails[0]?.to).toEqual([mailAddress]);
});

test("a run that somebody asks for holds a page as well, and a dry run, which heals nothing, holds none", async () => {
  const { database } = oncall.spine;
  const requestRun = createRequestRun({
    playbooks: [
      playbook({
        name: "asked",
        on: { alerts: null, request: { inputs: {} } },
        target: null,
        escalate: { policy: "ward", holdMs: 60_000 },
      }),
    ],
    targets: [],
    store: createRequests(database, Date.now),
    hint: () => {},
    now: Date.now,
    newId,
    log: { info: () => {} },
  });
  const wanted = { playbook: "asked", target: null, inputs: {}, reason: "a test", by: "api:night" };
  const ask = async (dryRun: boolean) => {
    const asked = await requestRun({ ...wanted, dryRun, idempotencyKey: null });
    return asked.kind === "created" ? escalation(asked.id) : asked.kind;
  };
  expect(await ask(false)).toMatchObject({ topic: "held", held: true });
  expect(await ask(true)).toBeUndefined();
});

test("who has the held page hears nothing more when the run is cancelled", async () => {
  const run = await underWay();
  oncall.open();
  await holdPasses();
  await until(() => pages().size === 1, { what: "the page" });
  expect(await oncall.escalations.acknowledge(run, "api:night")).toMatchObject({ kind: "acknowledged" });
  await until(() => oncall.pagerDuty.requests.length === 2, { what: "PagerDuty to hear who has it" });
  await oncall.spine.requests.cancel(run, "api:night", "I do it by hand");
  await oncall.spine.settle(run);
  expect(oncall.pagerDuty.requests).toHaveLength(2);
  expect(oncall.smtp.mails).toEqual([]);
});

test("a run that ends at the moment when its held page is due is not told of", async () => {
  const run = await underWay();
  await holdPasses();
  const { pool } = oncall.spine.database;
  const ending = await pool.connect();
  try {
    // Whoever looks sees a run that goes on, and waits for the one who is about to end it.
    await ending.query("BEGIN");
    await ending.query(
      "UPDATE paramedic.runs SET state = 'ended', outcome = 'fixed', waiting_for = NULL WHERE id = $1",
      [run],
    );
    const advanced = oncall.escalations.advance(() => [{ afterMs: 0, ways: ["pagerduty"] }]);
    await until(
      async () =>
        (
          await pool.query(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
          )
        ).rowCount === 1,
      { what: "the look to wait for the run" },
    );
    await ending.query("COMMIT");
    expect(await advanced).toMatchObject({ unknown: [] });
  } finally {
    ending.release();
  }
  expect(await escalation(run)).toMatchObject({ held: true });
  expect(await happened(run, "escalated")).toEqual([]);
  await oncall.escalations.advance(() => [{ afterMs: 0, ways: ["pagerduty"] }]);
  await settled(run);
});

test("a held page outlives its process: the next one tells", async () => {
  const run = await underWay();
  const first = oncall.open();
  await first.stop();
  await holdPasses();
  // Another process, with connections of its own; there is no queue at all.
  const database = connect(oncall.spine.url);
  try {
    const { due } = await createEscalations(database, newId).advance(() => [{ afterMs: 0, ways: ["pagerduty"] }]);
    expect(due).toBe(1);
    expect(await happened(run, "escalated")).toHaveLength(1);
  } finally {
    await database.close();
  }
  oncall.open();
  await until(() => pages().size === 1, { what: "the page" });
});

test("many processes begin a held page once", async () => {
  const run = await underWay();
  await holdPasses();
  for (let desk = 0; desk < 5; desk += 1) oncall.open();
  await until(() => oncall.smtp.mails.length === 1, { what: "the second level" });
  expect(await happened(run, "escalated")).toHaveLength(1);
  expect(oncall.pagerDuty.requests).toHaveLength(1);
});
