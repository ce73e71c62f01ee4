/** Rows 26 and 52: what stands in an alert selects, or it misses; it never becomes SQL, a shell word, a path, a unit or a URL, and never "all". */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { parse, stringify } from "yaml";
import { createActions } from "../../src/actions/registry.ts";
import { compilePlaybook } from "../../src/playbooks/load.ts";
import { createPatient, type Patient } from "../actions/postgres/patient.ts";
import { createRedisPatient, type RedisPatient } from "../actions/redis/patient.ts";
import { createUnitWard, type UnitWard } from "../actions/systemd/unit-ward.ts";
import { sharedPostgres } from "../support/postgres.ts";
import { redisService } from "../support/redis.ts";
import { temporaryFolder } from "../support/run-folder.ts";
import { alertOf, createSpine, type Spine } from "../support/spine.ts";
import { systemdService } from "../support/systemd.ts";

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
  expect(statements.filter((text) => /zq7marker|169\.254|etc\/passwd/i.test(text))).toEqual([]);
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
    expect((await spine.settle(run)).state).toBe("ended");
    expect((await spine.events(run)).filter(({ type }) => type === "step-started")).toEqual([]);
    expect((await statementsOf(patient)).filter((text) => /zq7marker|169\.254|etc\/passwd/i.test(text))).toEqual([]);
  },
);

/** What a careless author could hand on to an action: `value`, as the only thing that says what is acted upon. */
const handedOn: readonly (readonly [action: string, input: (value: string) => object])[] = [
  ["systemd.status", (unit) => ({ unit })],
  ["systemd.journal", (unit) => ({ unit })],
  ["systemd.restart", (unit) => ({ unit })],
  ["systemd.set-environment", (unit) => ({ unit, variables: { MODE: "sick" } })],
  ["redis.delete-keys", (pattern) => ({ pattern })],
  ["files.delete-old", (pattern) => ({ folder: "FOLDER", pattern, olderThanDays: 1 })],
  ["files.delete-old", (folder) => ({ folder, pattern: "*.log", olderThanDays: 1 })],
  ["http.get", (path) => ({ path })],
  ["http.post", (path) => ({ path })],
  ["django.report", (name) => ({ name })],
  ["django.migrate", (app) => ({ app, to: "0001" })],
  ["django.migrate", (to) => ({ app: "core", to })],
  ["deploy.rollback", (tag) => ({ tag })],
  ["postgres.restore", (backup) => ({ backup })],
  ["postgres.reindex", (table) => ({ table })],
  ["postgres.create-index", (table) => ({ table, columns: ["id"] })],
  ["postgres.create-index", (column) => ({ table: "visits", columns: [column] })],
  ["postgres.analyze", (table) => ({ tables: [table] })],
  ["postgres.vacuum", (table) => ({ tables: [table] })],
  ["postgres.explain", (queryId) => ({ queryId })],
];
const actionsOf = createActions({ prometheusUrl: null });

const expression = (of: string) => `\${{ ${of} }}`;

function handingOn(index: number, value: string, folder: string): string {
  const [action, input] = handedOn[index] as (typeof handedOn)[number];
  const found = actionsOf.get(action);
  // What cannot be undone always asks; a run that comes to ask has planned something, which fails the test as well.
  const goesOn = found?.kind === "change" && found.risk !== "irreversible";
  return stringify({
    name: `hands-on-${index}`,
    summary: "Hand a value on.",
    on: { request: true, inputs: { value: { type: "string" } } },
    target: { label: "service" },
    steps: [
      {
        id: "use",
        do: action,
        with: JSON.parse(JSON.stringify(input(value)).replace("FOLDER", folder)),
        ...(goesOn && { approval: "never" }),
      },
    ],
  });
}

test.each(["labels.instance", "annotations.summary", "target"])("no action's input can be made of %s", (source) => {
  const world = {
    actions: actionsOf,
    targets: [{ name: "ward", host: null, labels: { service: ["ward"] } }],
    policies: [],
    contacts: [],
    approvers: [],
    announces: false,
  };
  for (const index of handedOn.keys()) {
    const compiled = compilePlaybook(handingOn(index, expression(source), "/srv/logs"), world);
    expect(JSON.stringify(compiled)).toMatch(/"ok":false.*cannot be used/);
    expect(compilePlaybook(handingOn(index, expression("inputs.value"), "/srv/logs"), world)).toEqual(
      expect.objectContaining({ ok: true }),
    );
  }
});

systemdService.describe("what somebody hands on to the actions that came later", () => {
  redisService.describe("with a real Redis", () => {
    let units: UnitWard;
    let cache: RedisPatient;
    let server: Server;
    let hands: Spine;
    let folder: string;
    let told: string;
    const requests: string[] = [];

    beforeAll(async () => {
      units = await createUnitWard();
      await units.systemd.systemctl("start", "app.service");
      cache = await createRedisPatient(["sessions:*"]);
      await cache.fill("sessions:", 20);
      server = createServer((request, response) => {
        requests.push(request.url ?? "");
        response.end("{}");
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const root = await temporaryFolder("injection");
      folder = join(root, "logs");
      told = join(root, "told");
      await mkdir(folder);
      for (const name of ["a.log", "b.log"]) await writeFile(join(folder, name), "a line");
      for (const name of ["a.log", "b.log"]) await utimes(join(folder, name), 1, 1);
      // Stands for the project's interpreter: it tells which words it was started with.
      const python = join(root, "python");
      await writeFile(python, `#!/bin/sh\nprintf '%s\\n' "$@" >> ${told}\nexit 3\n`, { mode: 0o755 });
      const { port } = server.address() as AddressInfo;
      hands = await createSpine({
        url: (await sharedPostgres()).url,
        playbooks: [...handedOn.keys()].map((index) => handingOn(index, expression("inputs.value"), folder)),
        actions: createActions({ prometheusUrl: null, ...units.settings }),
        targets: [
          {
            ...patient.target,
            ...(units.target.systemd && { systemd: units.target.systemd }),
            ...(cache.target.redis && { redis: cache.target.redis }),
            name: "ward",
            labels: { service: ["ward"] },
            http: { baseUrl: `http://127.0.0.1:${port}/`, post: [{ path: "/hooks/warm" }] },
            files: { folders: [folder] },
            django: {
              project: root,
              python,
              settings: "shop.settings",
              env: {},
              warmUp: [],
              reports: ["shop.reports.sales"],
              metrics: {},
            },
            deploy: { checkout: root, tags: "v*", caches: [], restart: [] },
          },
        ],
      });
    });

    afterAll(async () => {
      await hands?.close();
      await new Promise((resolve) => server?.close(resolve));
      await cache?.stop();
      await units?.systemd.down();
    });

    test.each(
      [...handedOn.entries()].map(([index, [action, input]]) => ({ index, action, input: Object.keys(input("")) })),
    )(
      "$action ($input): none of these becomes anything but a refusal",
      async ({ index }) => {
        for (const payload of payloads) {
          const run = await hands.request(`hands-on-${index}`, { inputs: { value: payload } });
          const { state, outcome } = await hands.settle(run);
          expect({ payload, state, outcome }).not.toMatchObject({ outcome: "fixed" });
          expect(state).toBe("ended");
          const done = (await hands.events(run)).filter(
            ({ type }) => type === "step-started" || type === "step-observed",
          );
          expect({ payload, done }).toEqual({ payload, done: [] });
        }
      },
      60_000,
    );

    test("afterwards every system is as it was", async () => {
      expect(await units.starts("app.service")).toBe(1);
      expect(await units.systemd.show("app.service", "Environment")).not.toContain("sick");
      expect(Object.keys(await cache.contents())).toHaveLength(20);
      expect((await readdir(folder)).sort()).toEqual(["a.log", "b.log"]);
      expect(requests).toEqual([]);
      const words = existsSync(told) ? (await readFile(told, "utf8")).split("\n") : [];
      expect(words.filter((word) => word !== "" && payloads.includes(word))).toEqual([]);
      expect(words.join("\n")).not.toMatch(/zq7marker|169\.254|etc\/passwd/i);
      expect(existsSync(`/tmp/${marker}`)).toBe(false);
      expect((await statementsOf(patient)).filter((text) => /zq7marker|169\.254|etc\/passwd/i.test(text))).toEqual([]);
    });
  });
});
