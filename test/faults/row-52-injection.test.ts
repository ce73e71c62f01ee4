/** Rows 26 and 52: what stands in an alert selects, or it misses; it never becomes SQL, a shell word, a path, a unit or a URL, and never "all". */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parse, stringify } from "yaml";
import { createActions } from "../../src/actions/registry.ts";
import { createPatient, type Patient } from "../actions/postgres/patient.ts";
import { payloads, traces } from "../support/payloads.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { alertOf, createSpine, type Spine } from "../support/spine.ts";
import { until } from "../support/until.ts";

const folder = join(__dirname, "../../playbooks");
const playbooks = readdirSync(folder)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => withoutApplication(readFileSync(join(folder, name), "utf8")));

/** There is no application here: what waits for one gives up soon, and database-overload has the database's own checks. */
function withoutApplication(shipped: string): string {
  const text = shipped.replaceAll(/\bwithin: \d+m\b/g, "within: 2s");
  const playbook = parse(text);
  if (playbook.name !== "database-overload") return text;
  const verify = playbook.verify.filter((check: { do: string }) => check.do !== "http.get");
  return stringify({ ...playbook, verify });
}

let patient: Patient;
let spine: Spine;

beforeAll(async () => {
  patient = await createPatient(await sharedPostgres());
  spine = await createSpine({
    playbooks,
    actions: createActions({ prometheusUrl: null }),
    targets: [{ ...patient.target, name: "youtility3", labels: { service: ["ward"] } }],
  });
});

afterAll(async () => {
  await spine.close();
  await patient.closeSessions();
});

const told = (service: string) =>
  alertOf({ labels: { alertname: "DatabaseOverload", severity: "critical", service, instance: service } });

/** Every statement that the patient's database has seen. */
async function statementsOf({ admin, database }: Patient): Promise<readonly string[]> {
  await admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
  const rows = await admin(
    "SELECT query FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = $1",
    [database],
  );
  return rows.map((row) => String(row["query"]));
}

test.each(payloads)(
  "%j as the label that selects the target starts nothing and is a recorded refusal",
  async (payload) => {
    const alert = told(payload);
    const { runs, ignored } = await spine.fire(alert);
    expect(runs).toEqual([]);
    expect(ignored).toEqual([{ fingerprint: alert.fingerprint, reason: "no-target" }]);
  },
);

test("an alert without the label that selects the target starts nothing", async () => {
  const { runs, ignored } = await spine.fire({ labels: { alertname: "DatabaseOverload", severity: "critical" } });
  expect(runs).toEqual([]);
  expect(ignored).toMatchObject([{ reason: "no-target" }]);
});

test("no value but the configured one ever selects a target", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary", maxLength: 40 }), async (service) => {
      fc.pre(service !== "ward" && !service.includes("\0") && service.isWellFormed());
      expect((await spine.fire(told(service))).runs).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test("with every other label and annotation hostile, a run does what its playbook says and no text of theirs reaches the database", async () => {
  const long = await patient.session();
  const running = long.start("SELECT pg_sleep(600)");
  for (const payload of payloads) {
    const run = await spine.start({
      labels: { alertname: "DatabaseOverload", severity: "critical", service: "ward", instance: payload, job: payload },
      annotations: { summary: payload, runbook_url: payload },
    });
    // Nothing has run for 300 s, so nothing may be planned, whatever the alert says.
    expect(await spine.settle(run)).toMatchObject({ outcome: "nothing-to-do" });
    const applied = (await spine.events(run)).filter(({ type }) => type === "step-started");
    expect(applied).toEqual([]);
  }
  expect(running.state).toBe("running");
  const statements = await statementsOf(patient);
  expect(statements.some((text) => text.includes("pg_stat_activity"))).toBe(true);
  expect(statements.filter((text) => traces.test(text))).toEqual([]);
}, 60_000);

/** Every playbook that ships and that an alert starts, by the name of such an alert. */
const startedByAlerts = playbooks.flatMap((text) => {
  const { name, on } = parse(text) as { name: string; on: { alerts?: readonly string[] } };
  const alertname = /^alertname="(\w+)"$/.exec(on.alerts?.[0] ?? "")?.[1];
  return alertname ? [{ name, alertname }] : [];
});

test("of the playbooks that ship some are started by alerts", () => {
  expect(startedByAlerts.length).toBeGreaterThan(5);
});

test.each(startedByAlerts)(
  "$name, started with all of these in its labels and annotations, changes nothing",
  async ({ name, alertname }) => {
    const hostile = Object.fromEntries(payloads.map((payload, index) => [`hostile_${index}`, payload]));
    const run = await spine.start({
      labels: { ...hostile, alertname, severity: "critical", service: "ward" },
      annotations: hostile,
    });
    expect((await spine.row(run)).playbook).toBe(name);
    await until(async () => (await spine.settle(run)).state === "ended", { timeoutMs: 60_000, what: "the run to end" });
    expect((await spine.events(run)).filter(({ type }) => type === "step-started")).toEqual([]);
    expect((await statementsOf(patient)).filter((text) => traces.test(text))).toEqual([]);
  },
  90_000,
);
