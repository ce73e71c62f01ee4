import { activity } from "../../../src/actions/postgres/activity.ts";
import type { PostgresTarget } from "../../../src/domain/target.ts";
import { sharedPostgres } from "../../support/postgres.ts";
import { until } from "../../support/until.ts";
import { bareTarget, contextFor } from "../context.ts";
import { describeContract } from "../contract.ts";
import { createPatient, type Patient } from "./patient.ts";

let patient: Patient;

beforeAll(async () => {
  patient = await createPatient(await sharedPostgres());
  const { client } = await patient.session();
  await client.query("CREATE TABLE item (id int PRIMARY KEY, stock int); INSERT INTO item VALUES (1, 5), (2, 5)");
}, 90_000);

afterEach(() => patient.closeSessions());

async function observe(target = patient.target) {
  const observed = await activity.observe({}, contextFor(target));
  if (observed.status === "failed") throw new Error(observed.reason);
  return observed.output;
}

describeContract("postgres.activity", {
  input: {},
  hostile: [null, [], "{}", { users: ["postgres"] }, { database: "'; DROP TABLE item" }],
  healthy: () => ({ action: activity, target: patient.target }),
  at: (port) => ({ action: activity, target: patient.at(port) }),
  state: () =>
    patient.admin(
      "SELECT datname, tup_inserted, tup_updated, tup_deleted, xact_rollback FROM pg_stat_database WHERE datname = $1",
      [patient.database],
    ),
});

test("an idle database has nothing long and nobody blocked", async () => {
  await patient.session();
  expect(await observe()).toEqual({
    connections: expect.any(Number),
    maxConnections: 200,
    active: 0,
    idleInTransaction: 0,
    waiting: 0,
    longestSeconds: 0,
    longestTransactionSeconds: 0,
    blockers: [],
  });
});

test("counts connections of the whole server", async () => {
  const before = (await observe()).connections;
  await patient.session({ connectionString: patient.urlOf("postgres", "postgres") });
  await until(async () => (await observe()).connections > before);
});

test("measures the longest query and the longest transaction, also an idle one", async () => {
  const holder = await patient.session();
  await holder.client.query("BEGIN");
  await until(async () => (await observe()).longestTransactionSeconds >= 0.5);
  (await patient.session()).start("SELECT pg_sleep(600)");
  const seen = await until(async () => {
    const output = await observe();
    return output.longestSeconds >= 0.3 && output;
  });
  expect(seen).toMatchObject({ active: 1, idleInTransaction: 1 });
  expect(seen.longestTransactionSeconds).toBeGreaterThan(seen.longestSeconds);
});

test("looks away from other users, other databases and Paramedic itself", async () => {
  const other = await patient.role("other");
  (await patient.session({ connectionString: patient.urlOf(other) })).start("SELECT pg_sleep(600)");
  (await patient.session({ connectionString: patient.urlOf(patient.app, "postgres") })).start("SELECT pg_sleep(600)");
  (await patient.session({ application_name: "paramedic" })).start("SELECT pg_sleep(600)");
  await until(
    async () =>
      (await patient.admin("SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"))
        .length === 3,
  );
  expect(await observe()).toMatchObject({ active: 0, longestSeconds: 0, longestTransactionSeconds: 0 });
});

test("tells who blocks whom, down to the root", async () => {
  const root = await patient.session();
  await root.client.query("BEGIN");
  await root.client.query("UPDATE item SET stock = 4 WHERE id = 1");
  const middle = await patient.session();
  await middle.client.query("BEGIN");
  await middle.client.query("UPDATE item SET stock = 4 WHERE id = 2");
  middle.start("UPDATE item SET stock = 3 WHERE id = 1");
  await until(async () => (await observe()).waiting === 1);
  const last = await patient.session();
  last.start("UPDATE item SET stock = 3 WHERE id = 2");
  const { blockers } = await until(async () => {
    const output = await observe();
    return output.waiting === 2 && output;
  });
  const common = { user: patient.app, rootBlocker: root.pid, rootUser: patient.app, rootState: "idle in transaction" };
  expect(blockers).toEqual([
    { ...common, pid: middle.pid, blockedBy: root.pid, waitingSeconds: expect.any(Number) },
    { ...common, pid: last.pid, blockedBy: middle.pid, waitingSeconds: expect.any(Number) },
  ]);
});

test("a circle of waits has a root too", async () => {
  const [one, two] = [await patient.session(), await patient.session()];
  // The server breaks the circle after deadlock_timeout; a long one leaves time to look.
  await patient.admin(`GRANT SET ON PARAMETER deadlock_timeout TO ${patient.app}`);
  for (const [session, id] of [[one, 1] as const, [two, 2] as const]) {
    await session.client.query("SET deadlock_timeout = '60s'");
    await session.client.query("BEGIN");
    await session.client.query("UPDATE item SET stock = 4 WHERE id = $1", [id]);
  }
  one.start("UPDATE item SET stock = 3 WHERE id = 2");
  two.start("UPDATE item SET stock = 3 WHERE id = 1");
  const { blockers } = await until(async () => {
    const output = await observe();
    return output.waiting === 2 && output;
  });
  expect(blockers.map(({ pid, blockedBy }) => [pid, blockedBy]).sort()).toEqual(
    [
      [one.pid, two.pid],
      [two.pid, one.pid],
    ].sort(),
  );
  for (const { rootBlocker } of blockers) expect([one.pid, two.pid]).toContain(rootBlocker);
});

test.each<[string, () => Promise<string>]>([
  ["a role without rights", () => patient.role("blind")],
  ["a role that may only cancel", () => patient.role("canceller", "IN ROLE pg_signal_backend")],
])("%s is refused, since the database would look idle to it", async (_name, role) => {
  const postgres = { ...(patient.target.postgres as PostgresTarget), url: patient.urlOf(await role()) };
  expect(await activity.observe({}, contextFor({ ...patient.target, postgres }))).toMatchObject({
    status: "failed",
    retryable: false,
    reason: expect.stringContaining("GRANT pg_read_all_stats"),
  });
});

test("a target without a database is refused with what to configure", async () => {
  const observed = await activity.observe({}, contextFor(bareTarget));
  expect(observed).toMatchObject({ status: "failed", retryable: false, reason: expect.stringContaining("postgres:") });
});
