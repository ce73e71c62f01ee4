/** Rows 26 and 52: what stands in an alert selects, or it misses; it never becomes SQL, a shell word, a path, a unit or a URL, and never "all". */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { createActions } from "../../src/actions/registry.ts";
import { createPatient, type Patient } from "../actions/postgres/patient.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { alertOf, createSpine, type Spine } from "../support/spine.ts";

const marker = "Zq7marker";
const payloads: readonly string[] = [
  "",
  " ",
  "*",
  "%",
  ".*",
  "all",
  "null",
  "undefined",
  `'; DROP TABLE ${marker}; --`,
  `" OR 1=1 --${marker}`,
  `$(touch /tmp/${marker})`,
  `\`id ${marker}\``,
  `; reboot # ${marker}`,
  "../../etc/passwd",
  "..%2f..%2fetc%2fpasswd",
  "a.service b.service",
  "-H root@elsewhere",
  "--help",
  `http://169.254.169.254/${marker}`,
  `//evil.example/${marker}`,
  "file:///etc/passwd",
  `\${{ steps.activity }}${marker}`,
  `ward\n${marker}`,
  "WARD",
  "ward ",
  "__proto__",
  "constructor",
  "toString",
];

const folder = join(__dirname, "../../playbooks");
const playbooks = readdirSync(folder)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => readFileSync(join(folder, name), "utf8"));

let patient: Patient;
let spine: Spine;

beforeAll(async () => {
  patient = await createPatient(await sharedPostgres());
  spine = await createSpine({
    playbooks,
    actions: createActions({ prometheusUrl: null }),
    targets: [{ ...patient.target, name: "ward", labels: { service: ["ward"] } }],
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
  expect(statements.filter((text) => /zq7marker|169\.254|etc\/passwd/i.test(text))).toEqual([]);
}, 60_000);
