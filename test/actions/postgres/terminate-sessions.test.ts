import { type TerminatePlan, terminateSessions } from "../../../src/actions/postgres/terminate-sessions.ts";
import type { Planned } from "../../../src/domain/action.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { heldByStopped } from "./held.ts";
import { createPatient, type Patient, type Session } from "./patient.ts";
import { planOf } from "./shop.ts";

let patient: Patient;
let sessions: Session[] = [];

beforeAll(async () => {
  patient = await createPatient(await sharedPostgres());
  const { client } = await patient.session();
  await client.query("CREATE TABLE seat (id int PRIMARY KEY, taken boolean)");
  await client.query("INSERT INTO seat VALUES (1, false), (2, false)");
}, 90_000);

afterEach(async () => {
  await patient.closeSessions();
  sessions = [];
});

/** A session that has changed a row and forgotten about it. */
async function idler(...statements: string[]): Promise<Session> {
  const session = await patient.session({ application_name: "web" });
  sessions.push(session);
  for (const sql of ["BEGIN", ...statements]) await session.client.query(sql);
  return session;
}

async function sleeper(): Promise<Session> {
  const session = await patient.session({ application_name: "web" });
  sessions.push(session);
  session.start("SELECT pg_sleep(600)");
  return session;
}

async function planned(count: number, input = {}): Promise<Extract<Planned<TerminatePlan>, { status: "planned" }>> {
  return until(
    async () => {
      const made = await planOf(terminateSessions, { olderThanSeconds: 1, ...input }, patient.target);
      return made.status === "planned" && made.plan.sessions.length === count && made;
    },
    { what: `${count} sessions to be planned` },
  );
}

const living = async () => {
  const rows = await patient.admin("SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY pid", [patient.app]);
  return sessions.map(({ pid }) => rows.some((row) => row["pid"] === pid));
};

describeContract("postgres.terminate-sessions", {
  input: { olderThanSeconds: 1 },
  hostile: [
    {},
    null,
    { olderThanSeconds: 0 },
    { olderThanSeconds: "300" },
    { olderThanSeconds: 300, atMost: 1_001 },
    { olderThanSeconds: 300, state: "idle" },
    { olderThanSeconds: 300, state: "active' OR true --" },
    { olderThanSeconds: 300, users: ["postgres"] },
  ],
  healthy: () => ({ action: terminateSessions, target: patient.target }),
  at: (port) => ({ action: terminateSessions, target: patient.at(port) }),
  arrange: async () => {
    if ((await living()).includes(true)) return;
    sessions = [];
    await idler("UPDATE seat SET taken = true WHERE id = 1");
    await planned(1);
  },
  state: async () => ({ living: await living(), seats: await seats() }),
  midway: {
    hold: async () => {
      const pids = sessions.map(({ pid }) => pid);
      const held = await heldByStopped(patient, pids, "SELECT pid FROM unnest");
      const gone = () => until(async () => !(await living()).includes(true));
      return { ...held, release: () => held.release().then(gone) };
    },
    told: { status: "unknown", reason: expect.stringContaining("told to end") },
    probed: "applied",
  },
});

async function seats() {
  const { client } = await patient.session();
  return (await client.query("SELECT * FROM seat ORDER BY id")).rows;
}

test("ends sessions that are idle in a transaction and those that run, the longest first, and says what is lost", async () => {
  const idle = await idler("UPDATE seat SET taken = true WHERE id = 2", "SAVEPOINT a", "SELECT 'Jane'");
  await planned(1);
  const active = await sleeper();
  const made = await planned(2);
  expect(made.plan.sessions).toMatchObject([
    { pid: idle.pid, idle: true },
    { pid: active.pid, idle: false },
  ]);
  expect(made.effects[0]).toMatch(
    new RegExp(
      `^end the session of pid ${idle.pid} \\(user ${patient.app}, database ${patient.database}, application web\\) ` +
        "and roll back what it has not committed, idle in a transaction since [-0-9]+ [:0-9]+ UTC, last: SELECT \\?$",
    ),
  );
  expect(await terminateSessions.apply(made.plan, contextFor(patient.target))).toEqual({
    status: "done",
    result: { terminated: [idle.pid, active.pid], gone: [] },
  });
  expect(await living()).toEqual([false, false]);
  expect(await seats()).toMatchObject([{ id: 1 }, { id: 2, taken: false }]);
});

test("takes only the kind of session that is asked for", async () => {
  const idle = await idler("SELECT 1");
  const active = await sleeper();
  await planned(2);
  expect((await planned(1, { state: "active" })).plan.sessions).toMatchObject([{ pid: active.pid }]);
  expect((await planned(1, { state: "idle-in-transaction" })).plan.sessions).toMatchObject([{ pid: idle.pid }]);
});

test("leaves a session alone that has gone on to another query since it was planned", async () => {
  const idle = await idler("SELECT 1");
  const { plan } = await planned(1);
  await idle.client.query("SELECT 2");
  expect(await terminateSessions.apply(plan, contextFor(patient.target))).toEqual({
    status: "done",
    result: { terminated: [], gone: [idle.pid] },
  });
  expect(await living()).toEqual([true]);
});

test("never takes an idle migration, an idle session outside a transaction, or one of a backup program", async () => {
  await idler("CREATE TABLE half_made (id int)", "SELECT 1");
  await idler("LOCK TABLE seat IN SHARE MODE", "SELECT 1");
  const dump = await patient.session({ application_name: "pg_dump" });
  await dump.client.query("BEGIN");
  await dump.client.query("SELECT 1");
  await patient.session();
  const ordinary = await idler("SELECT 1");
  expect((await planned(1)).plan.sessions).toMatchObject([{ pid: ordinary.pid }]);
});

test("probing tells what has become of the sessions", async () => {
  const [first] = [await idler("SELECT 1"), await idler("SELECT 1")];
  const { plan } = await planned(2);
  const probe = () => terminateSessions.probe?.(plan, contextFor(patient.target));
  expect(await probe()).toBe("not-applied");
  await patient.admin("SELECT pg_terminate_backend($1, 5000)", [first?.pid]);
  expect(await probe()).toBe("unknown");
  expect(await terminateSessions.apply(plan, contextFor(patient.target))).toMatchObject({ status: "done" });
  expect(await probe()).toBe("applied");
  expect(await terminateSessions.probe?.(plan, contextFor(patient.at(1)))).toBe("unknown");
});
